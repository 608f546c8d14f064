//! The standard library for other targets.
//!
//! With rustup it is a download. Without, it is built from the sources that belong to the compiler,
//! which Debian packages for each of its versions, beside the toolchain and without changing it.

use super::{Repository, is_installed};
use crate::failure::MissingTool;
use crate::process;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Where a target's standard library is.
#[derive(Debug)]
pub(crate) enum TargetStd {
    /// With the toolchain.
    Toolchain,
    /// In a sysroot of ours, to be named by `--sysroot`.
    Sysroot(PathBuf),
}

impl TargetStd {
    /// The flag that makes rustc use it, if it takes one.
    pub(crate) fn flag(&self) -> Option<String> {
        match self {
            Self::Toolchain => None,
            Self::Sysroot(path) => Some(format!("--sysroot={}", path.display())),
        }
    }
}

impl Repository {
    /// The standard library of `target`, fetched or built once for each version of the compiler.
    pub(crate) async fn target_std(&self, target: &str) -> Result<TargetStd> {
        let compiler = Compiler::of(self).await?;
        if compiler.has(target) || compiler.fetch(self, target).await {
            return Ok(TargetStd::Toolchain);
        }
        let sysroot = self.tool_path(&format!("cross/{}", compiler.version));
        let place = sysroot.join("lib/rustlib").join(target).join("lib");
        if !place.is_dir() {
            println!("building the standard library for {target}, once; this takes a minute");
            let sources = compiler.sources(&sysroot).await?;
            build(self, &sources, &sysroot.join("work"), target, &place).await?;
        }
        Ok(TargetStd::Sysroot(sysroot))
    }
}

#[derive(Debug)]
struct Compiler {
    version: String,
    sysroot: PathBuf,
}

impl Compiler {
    async fn of(repository: &Repository) -> Result<Self> {
        let said = async |argument: &[&str]| {
            process::capture(&mut repository.command("rustc", argument)).await
        };
        let version = said(&["--version"]).await?;
        let version = version.split(' ').nth(1).context("rustc does not say its version")?;
        let sysroot = said(&["--print", "sysroot"]).await?;
        Ok(Self { version: version.to_owned(), sysroot: sysroot.trim().into() })
    }

    fn has(&self, target: &str) -> bool {
        self.sysroot.join("lib/rustlib").join(target).join("lib").is_dir()
    }

    async fn fetch(&self, repository: &Repository, target: &str) -> bool {
        if !is_installed("rustup").await {
            return false;
        }
        let mut rustup = repository.command("rustup", &["--quiet", "target", "add", target]);
        rustup.stdout(Stdio::null()).stderr(Stdio::null());
        rustup.status().await.is_ok_and(|status| status.success()) && self.has(target)
    }

    /// The folder `library` of exactly this compiler.
    async fn sources(&self, sysroot: &Path) -> Result<PathBuf> {
        let own = self.sysroot.join("lib/rustlib/src/rust/library");
        if own.is_dir() {
            return Ok(own);
        }
        let work = sysroot.join("work");
        let library = work.join(format!("src/usr/src/rustc-{}/library", self.version));
        if !library.is_dir() {
            self.unpack_debian(&work).await?;
        }
        Ok(library)
    }

    /// Debian's package of the sources, from its newer suites; apt's own settings stay as they are.
    async fn unpack_debian(&self, work: &Path) -> Result<()> {
        let advice = format!(
            "the standard library's sources for Rust {} are not to be had; run `rustup component add \
             rust-src`, or install that version's rust-src package",
            self.version
        );
        let missing = || MissingTool { advice: advice.clone() };
        for folder in ["lists/partial", "cache/archives/partial", "sources", "packages"] {
            std::fs::create_dir_all(work.join(folder))?;
        }
        let list = newer_suites().ok_or_else(missing)?;
        std::fs::write(work.join("sources/newer.sources"), list)?;
        let apt = |program: &str| {
            let mut apt = process::command(program);
            apt.args(["--quiet", "--quiet", "-o", "Dir::Etc::sourcelist=/dev/null"]);
            for (option, folder) in [
                ("Dir::Etc::sourceparts", "sources"),
                ("Dir::State::lists", "lists"),
                ("Dir::Cache", "cache"),
            ] {
                apt.arg("-o").arg(format!("{option}={}", work.join(folder).display()));
            }
            apt.current_dir(work.join("packages")).stderr(Stdio::null());
            apt
        };
        process::run(apt("apt-get").arg("update").stdout(Stdio::null()))
            .await
            .map_err(|_| missing())?;
        let known = process::capture(apt("apt-cache").args(["madison", "rust-src"])).await?;
        let versions = known.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
        let own = format!("{}+", self.version);
        let version = versions.into_iter().find(|version| version.starts_with(&own));
        let version = version.ok_or_else(missing)?;
        let mut download = apt("apt-get");
        download.arg("download").arg(format!("rust-src={version}")).stdout(Stdio::null());
        process::run(&mut download).await.map_err(|_| missing())?;
        let package = std::fs::read_dir(work.join("packages"))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
        let mut unpack = process::command("dpkg-deb");
        unpack.arg("-x").arg(package.ok_or_else(missing)?).arg(work.join("src"));
        process::run(&mut unpack).await
    }
}

/// The machine's own Debian mirror, with the suites that newer compilers appear in.
fn newer_suites() -> Option<String> {
    let sources = std::fs::read_to_string("/etc/apt/sources.list.d/debian.sources").ok()?;
    let main = sources
        .split("\n\n")
        .find(|part| part.contains("Suites:") && !part.contains("security"))?;
    let suites = |line: &str| match line.starts_with("Suites:") {
        true => "Suites: trixie-backports sid".to_owned(),
        false => line.to_owned(),
    };
    Some(main.lines().map(suites).collect::<Vec<_>>().join("\n") + "\n")
}

/// Builds std and what tests need of it. The stable compiler does that for its own sources when it
/// is told that it is being bootstrapped. The bitcode is for link-time optimisation.
async fn build(
    repository: &Repository,
    sources: &Path,
    work: &Path,
    target: &str,
    place: &Path,
) -> Result<()> {
    let package = work.join("empty");
    std::fs::create_dir_all(package.join("src"))?;
    let manifest = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                    [profile.release]\ndebug = 0\n[workspace]\n";
    std::fs::write(package.join("Cargo.toml"), manifest)?;
    std::fs::write(package.join("src/lib.rs"), "#![no_std]\n")?;
    let output = work.join("target");
    let mut cargo = repository.cargo(&["build", "--release", "--quiet", "--target", target]);
    cargo.arg("-Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test");
    cargo.arg("--target-dir").arg(&output).current_dir(&package);
    cargo.env("RUSTC_BOOTSTRAP", "1").env("__CARGO_TESTS_ONLY_SRC_ROOT", sources);
    cargo.env("RUSTFLAGS", "-Cembed-bitcode=yes").env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run(&mut cargo).await.context("could not build the standard library")?;
    // Whole or not at all.
    let partial = place.with_extension("partial");
    drop(std::fs::remove_dir_all(&partial));
    std::fs::create_dir_all(&partial)?;
    for entry in std::fs::read_dir(output.join(target).join("release/deps"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".rlib") && !name.starts_with("libempty") {
            std::fs::copy(&path, partial.join(name))?;
        }
    }
    if target.ends_with("-windows-gnu") {
        start_objects(repository, sources, target, &partial).await?;
    }
    Ok(std::fs::rename(&partial, place)?)
}

/// What a program begins and ends with on this target.
async fn start_objects(
    repository: &Repository,
    sources: &Path,
    target: &str,
    place: &Path,
) -> Result<()> {
    for name in ["rsbegin", "rsend"] {
        let mut rustc = repository.command("rustc", &["--target", target, "--emit=obj"]);
        rustc.args(["-Cpanic=abort", "-o"]).arg(place.join(format!("{name}.o")));
        rustc.arg(sources.join("rtstartup").join(format!("{name}.rs")));
        process::run(rustc.env("RUSTC_BOOTSTRAP", "1")).await?;
    }
    Ok(())
}
