//! `dist`: what users install, for every Linux that is supported.

mod interpreters;
mod prove;
mod target;
mod windows;

use crate::failure::OrHint as _;
use crate::process::{self, unless_interrupted};
use crate::tools::{Cross, Python, Repository};
use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use target::Target;
use tokio::process::Command;

/// What to build.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only for this target; repeat for more [default: all]
    #[arg(long = "target", value_name = "TRIPLE", value_parser = Target::named)]
    targets: Vec<&'static Target>,
    /// For Windows instead
    #[arg(long, conflicts_with = "targets")]
    windows: bool,
    /// Only the Python wheels
    #[arg(long)]
    wheels: bool,
    /// Then fetch a token with every wheel and program, from the emulator; under qemu where needed
    #[arg(long, conflicts_with = "windows")]
    prove: bool,
}

/// More than this is too much for a library that is installed with every app.
const LARGEST_WHEEL: u64 = 5_000_000;

pub(crate) async fn run(options: &Options) -> Result<()> {
    unless_interrupted(build(&Repository::here(), options)).await
}

async fn build(repository: &Repository, options: &Options) -> Result<()> {
    let output = repository.path("target/dist");
    std::fs::create_dir_all(&output)?;
    let requirements = repository.path("xtask/dist/requirements.txt");
    let python = Python::prepare(repository, "dist", &requirements)
        .await
        .or_hint("prepare the tools", "install what is named above, then try again")?;
    let workshop = Workshop { repository, python, output };
    if options.windows {
        return windows::build(&workshop, options.wheels).await;
    }
    let chosen: Vec<&'static Target> = if options.targets.is_empty() {
        Target::ALL.iter().collect()
    } else {
        options.targets.clone()
    };
    workshop.drop_in().await?;
    for target in &chosen {
        println!("== {}", target.triple);
        let cross = Cross::prepare(repository, target.triple)
            .await
            .or_hint("get the target's standard library", "see above")?;
        drop(std::fs::remove_dir_all(workshop.folder(target)));
        workshop.wheel(target, &cross, &Package::module(target)).await?;
        if let (Some(package), false) = (Package::program(target), options.wheels) {
            workshop.wheel(target, &cross, &package).await?;
            workshop.program(target)?;
        }
    }
    if options.prove {
        prove::all(&workshop, &chosen).await?;
    }
    Ok(())
}

/// What a wheel is made of.
struct Package {
    /// As the wheel's name begins.
    name: &'static str,
    directory: &'static str,
    /// The oldest systems it runs on, PEP 600 and PEP 656.
    tags: Vec<&'static str>,
    /// What rustc is told.
    flags: &'static [&'static str],
}

impl Package {
    fn module(target: &Target) -> Self {
        let (tags, flags) = (vec![target.tag], target.wheel);
        Self { name: "keybearer", directory: "crates/python", tags, flags }
    }

    /// The program, which runs with every C library, where it is built for this target.
    fn program(target: &Target) -> Option<Self> {
        let flags = target.program?;
        let same_machine = Target::ALL.iter().filter(|other| other.machine == target.machine);
        let tags = same_machine.map(|target| target.tag).collect();
        Some(Self { name: "keybearer_cli", directory: "crates/cli", tags, flags })
    }
}

struct Workshop<'a> {
    repository: &'a Repository,
    python: Python,
    output: PathBuf,
}

impl Workshop<'_> {
    /// A program of the tools' environment, with its other programs on the path.
    fn tool(&self, name: &str) -> Result<Command> {
        let binaries = self.python.interpreter();
        let binaries = binaries.parent().context("an interpreter lies in a directory")?;
        let mut path = OsString::from(binaries);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = process::command(binaries.join(name));
        command.env("PATH", path).current_dir(self.repository.path(""));
        command.env("CARGO_TARGET_DIR", self.repository.path("target/cross"));
        Ok(command)
    }

    /// zig's own program; what pip installs beside it is a Python script.
    async fn zig(&self) -> Result<PathBuf> {
        let mut python = self.python.command(&["-c", "import ziglang; print(ziglang.__path__[0])"]);
        Ok(Path::new(process::capture(&mut python).await?.trim()).join("zig"))
    }

    /// Packs the source of `keybearer-azure-identity-broker`. It has no wheel: an installer that
    /// builds it asks first what it is installed beside.
    async fn drop_in(&self) -> Result<()> {
        println!("== keybearer-azure-identity-broker");
        let project = self.repository.path("python/keybearer-azure-identity-broker");
        let folder = self.output.join("source");
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        let pack =
            "import sys; from flit_core.buildapi import build_sdist; build_sdist(sys.argv[1])";
        let mut python = self.python.command(&["-c", pack]);
        python.arg(&folder).current_dir(project);
        process::run(&mut python).await.or_hint("pack the source", "see above")?;
        let packed = std::fs::read_dir(&folder)?.next().context("nothing was packed")??;
        println!("{}", packed.file_name().display());
        Ok(())
    }

    /// Where what is built for a target is put.
    fn folder(&self, target: &Target) -> PathBuf {
        self.output.join(target.triple)
    }

    /// Builds a wheel and checks what it says of itself.
    async fn wheel(&self, target: &Target, cross: &Cross, package: &Package) -> Result<()> {
        let folder = self.folder(target);
        let mut maturin = self.tool("maturin")?;
        maturin.args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--zig",
            "--target",
            target.triple,
        ]);
        maturin.arg("--compatibility").args(&package.tags).arg("--manifest-path");
        maturin.arg(self.repository.path(package.directory).join("Cargo.toml"));
        maturin.arg("--out").arg(&folder);
        maturin.env(cross.flags_variable(), flags(cross, package.flags));
        process::run(&mut maturin).await.or_hint("build the wheel", "mend what is named above")?;
        let wheel = wheel_in(&folder, package.name)?;
        self.check_wheel(package, &wheel).await.or_hint("check the wheel", "see above")
    }

    async fn check_wheel(&self, package: &Package, wheel: &Path) -> Result<()> {
        let size = std::fs::metadata(wheel)?.len();
        let name = wheel.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        println!("{name}  {:.1} MB", size as f64 / 1e6);
        if size > LARGEST_WHEEL {
            bail!("the wheel is larger than {LARGEST_WHEEL} bytes");
        }
        if let Some(tag) = package.tags.iter().find(|tag| !name.contains(**tag)) {
            bail!("the wheel does not carry the tag {tag}");
        }
        let [tag] = package.tags.as_slice() else {
            // A static program: auditwheel finds nothing in it to judge by.
            return Ok(());
        };
        if tag.starts_with("musl") {
            // auditwheel looks at musl wheels only on a system with musl.
            return Ok(());
        }
        let mut audit = self.tool("auditwheel")?;
        let said = process::capture(audit.arg("show").arg(wheel)).await?;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        if !said.contains(&format!("consistent with the following platform tag: \"{tag}")) {
            bail!("auditwheel does not agree with the tag: {said}");
        }
        Ok(())
    }

    /// Puts the program that its wheel holds beside it.
    fn program(&self, target: &Target) -> Result<()> {
        let built = self.repository.path("target/cross").join(target.triple);
        let program = self.folder(target).join("keybearer");
        std::fs::copy(built.join("release/keybearer"), &program)?;
        let size = std::fs::metadata(&program)?.len();
        println!("keybearer  {:.1} MB", size as f64 / 1e6);
        Ok(())
    }
}

/// What rustc is told: where the target's standard library is, and what is said of the target.
fn flags(cross: &Cross, more: &[&str]) -> String {
    let sysroot = cross.flag();
    sysroot.as_deref().into_iter().chain(more.iter().copied()).collect::<Vec<_>>().join(" ")
}

/// The wheel of the package.
fn wheel_in(folder: &Path, package: &str) -> Result<PathBuf> {
    let files = std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut files = files.filter_map(Result::ok).map(|file| file.path());
    let is_wheel = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".whl") && name.split('-').next() == Some(package)
    };
    files
        .find(is_wheel)
        .with_context(|| format!("there is no wheel of {package} in {}", folder.display()))
}
