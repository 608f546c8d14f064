//! Rust's standard library for other systems.
//!
//! A toolchain of rustup has it after `rustup target add`, and is used as it is then. For other
//! toolchains it is built with stable cargo, from the toolchain's `rust-src` component or from
//! Debian's package of exactly the same version. The toolchain is not changed.

use super::{Debian, Repository, prepared_once};
use crate::failure::MissingTool;
use crate::process;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// A standard library for one target.
#[derive(Debug)]
pub(crate) struct Cross {
    target: &'static str,
    /// None if the toolchain has the library.
    sysroot: Option<PathBuf>,
}

impl Cross {
    /// Prepares the standard library for a target, once.
    pub(crate) async fn prepare(repository: &Repository, target: &'static str) -> Result<Self> {
        let own = rustc(&["--print", "target-libdir", "--target", target]).await?;
        let has_std = std::fs::read_dir(&own).is_ok_and(|mut files| {
            files.any(|file| file.is_ok_and(|file| name_begins(&file.path(), "libstd-")))
        });
        if has_std {
            return Ok(Self { target, sysroot: None });
        }
        let version = rustc(&["--version"]).await?;
        let sysroot = repository.tool_path("cross");
        let stamp = sysroot.join(format!("{target}.stamp"));
        prepared_once(&stamp, &version, async || {
            println!("building the standard library for {target}");
            let library = library_source(repository, &version).await?;
            build(repository, &library, target, &sysroot).await
        })
        .await?;
        Ok(Self { target, sysroot: Some(sysroot) })
    }

    /// cargo for this target; build scripts and macros are still built for the host.
    pub(crate) fn cargo(&self, repository: &Repository, subcommand: &[&str]) -> Command {
        let mut cargo = repository.cargo(subcommand);
        cargo.args(["--target", self.target]);
        if let Some(flag) = self.flag() {
            cargo.env(self.flags_variable(), flag);
        }
        cargo
    }

    /// The flag that makes rustc use the built library.
    pub(crate) fn flag(&self) -> Option<String> {
        self.sysroot.as_ref().map(|sysroot| format!("--sysroot={}", sysroot.display()))
    }

    /// The variable with the flags of rustc for this target only, so that they do not affect build
    /// scripts.
    pub(crate) fn flags_variable(&self) -> String {
        format!("CARGO_TARGET_{}_RUSTFLAGS", self.target.to_uppercase().replace('-', "_"))
    }
}

fn name_begins(path: &Path, with: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(with))
}

async fn rustc(arguments: &[&str]) -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = process::command(program);
    let output = process::capture(rustc.args(arguments)).await?;
    Ok(output.trim().to_owned())
}

/// Compiles the library with the stable compiler (`RUSTC_BOOTSTRAP` allows that) into a directory with
/// the layout of a toolchain.
async fn build(repository: &Repository, library: &Path, target: &str, out: &Path) -> Result<()> {
    let probe = out.join("probe");
    std::fs::create_dir_all(probe.join("src"))?;
    // A separate workspace, or cargo would look for it in the repository's.
    let manifest = "[package]\nname = \"probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                    [workspace]\n\n[profile.release]\ndebug = 0\n";
    std::fs::write(probe.join("Cargo.toml"), manifest)?;
    std::fs::write(probe.join("src/lib.rs"), "#![no_std]\n")?;
    let mut cargo = repository.cargo(&[
        "build",
        "--quiet",
        "--release",
        "-Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test",
        "--target",
        target,
        "--target-dir",
        "target",
    ]);
    cargo.current_dir(&probe).env("RUSTC_BOOTSTRAP", "1");
    // The variable of cargo's tests is the only way on stable to use another source.
    cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    // For link-time optimisation across it.
    cargo.env("RUSTFLAGS", "-Cembed-bitcode=yes").env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run(&mut cargo).await.context("could not build the standard library")?;
    let built = probe.join("target").join(target).join("release/deps");
    let libraries = out.join("lib/rustlib").join(target).join("lib");
    let _ = std::fs::remove_dir_all(&libraries);
    std::fs::create_dir_all(&libraries)?;
    for file in std::fs::read_dir(&built)? {
        let path = file?.path();
        let is_library = path.extension().is_some_and(|ending| ending == "rlib");
        if let Some(name) = path.file_name().filter(|_| is_library)
            && !name_begins(&path, "libprobe")
        {
            std::fs::copy(&path, libraries.join(name))?;
        }
    }
    if target.ends_with("-windows-gnu") {
        start_objects(library, target, &libraries).await?;
    }
    std::fs::remove_dir_all(probe.join("target"))?;
    Ok(())
}

/// What begins and ends the unwinding tables of a program for windows-gnu.
async fn start_objects(library: &Path, target: &str, out: &Path) -> Result<()> {
    for name in ["rsbegin", "rsend"] {
        let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut rustc = process::command(program);
        rustc.args(["--target", target, "--emit=obj", "-Cpanic=abort", "-o"]);
        rustc.arg(out.join(format!("{name}.o")));
        rustc.arg(library.join(format!("rtstartup/{name}.rs")));
        process::run(rustc.env("RUSTC_BOOTSTRAP", "1")).await?;
    }
    Ok(())
}

/// The `library` directory of this very version's source.
async fn library_source(repository: &Repository, version: &str) -> Result<PathBuf> {
    let component = rustc(&["--print", "sysroot"]).await?;
    let component = Path::new(&component).join("lib/rustlib/src/rust/library");
    if component.join("std").is_dir() {
        return Ok(component);
    }
    let number = version.split(' ').nth(1).context("rustc has a version")?;
    let source = repository.tool_path("cross/source");
    let library = source.join(format!("usr/src/rustc-{number}/library"));
    if !library.join("std").is_dir() {
        debian_source(repository, number, &source).await?;
    }
    Ok(library)
}

/// Unpacks Debian's package of the compiler's source. Other versions would not fit the compiler.
async fn debian_source(repository: &Repository, number: &str, out: &Path) -> Result<()> {
    let missing = || MissingTool {
        advice: format!(
            "there is no source of the standard library for rustc {number}; with rustup, run \
             `rustup component add rust-src`"
        ),
    };
    let work = repository.tool_path("cross/apt");
    let lists = Debian::prepare(work, "trixie-backports sid", None).await;
    let Ok(Some(debian)) = lists else { return Err(missing().into()) };
    let versions = debian.versions("rust-src").await?;
    let found = versions.iter().find(|version| version.starts_with(&format!("{number}+")));
    let Some(found) = found else { return Err(missing().into()) };
    debian.unpack_alone(&format!("rust-src={found}"), out).await
}
