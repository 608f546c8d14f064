//! `dist`: builds what users install, for every supported Linux.

mod interpreters;
mod notices;
mod prove;
mod target;
mod wheel;
mod windows;

use crate::failure::OrHint as _;
use crate::process::{self, unless_interrupted};
use crate::tools::{Cross, Python, Repository};
use anyhow::{Context as _, Result, bail, ensure};
use notices::{Licence, Notices};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use target::Target;
use tokio::process::Command;
use wheel::Wheel;

/// What to build.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build only for this target; can be repeated [default: all]
    #[arg(long = "target", value_name = "TRIPLE", value_parser = Target::named)]
    targets: Vec<&'static Target>,
    /// Build for Windows instead
    #[arg(long, conflicts_with = "targets")]
    windows: bool,
    /// Then install the wheels together and fetch tokens from the emulator; under qemu where needed
    #[arg(long, conflicts_with = "windows")]
    prove: bool,
}

/// The largest acceptable size of a wheel in bytes: it is installed with every app.
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
        .or_hint("prepare the tools", "install what is missing, then try again")?;
    let builder = WheelBuilder { repository, python, output };
    if options.windows {
        return windows::build(&builder).await;
    }
    let chosen: Vec<&'static Target> = if options.targets.is_empty() {
        Target::ALL.iter().collect()
    } else {
        options.targets.clone()
    };
    builder.drop_in().await?;
    for target in &chosen {
        println!("== {}", target.triple);
        let cross = Cross::prepare(repository, target.triple)
            .await
            .or_hint("prepare the standard library of the target", "see the output above")?;
        drop(std::fs::remove_dir_all(builder.folder(target)));
        builder.wheel(target, &cross, &Wheel::module(target)).await?;
        if let Some(program) = Wheel::program(target) {
            builder.wheel(target, &cross, &program).await?;
            builder.program(&builder.folder(target), &program).await?;
        }
    }
    for target in &chosen {
        builder.report_missing_program(target);
    }
    if options.prove {
        prove::all(&builder, &chosen).await?;
    }
    Ok(())
}

/// Builds and checks wheels.
struct WheelBuilder<'a> {
    repository: &'a Repository,
    python: Python,
    output: PathBuf,
}

impl WheelBuilder<'_> {
    /// A program of the tools' environment, with the others on `PATH`.
    fn tool(&self, name: &str) -> Result<Command> {
        let binaries = self.python.interpreter();
        let binaries = binaries.parent().context("the interpreter has no directory")?;
        let mut path = OsString::from(binaries);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = process::command(binaries.join(name));
        command.env("PATH", path).current_dir(self.repository.path(""));
        command.env("CARGO_TARGET_DIR", self.repository.path("target/cross"));
        Ok(command)
    }

    /// The program `zig`; what pip puts on the path is a Python script.
    async fn zig(&self) -> Result<PathBuf> {
        let mut python = self.python.command(&["-c", "import ziglang; print(ziglang.__path__[0])"]);
        Ok(Path::new(process::capture(&mut python).await?.trim()).join("zig"))
    }

    /// Packs the source of `keybearer-azure-identity-broker`. It has no wheel, because its build checks
    /// that Microsoft's package is not installed.
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
        process::run(&mut python).await.or_hint("pack the source", "see the output above")?;
        let packed = std::fs::read_dir(&folder)?.next().context("nothing was packed")??;
        println!("{}", packed.file_name().display());
        Ok(())
    }

    /// The output directory of a target.
    fn folder(&self, target: &Target) -> PathBuf {
        self.output.join(target.triple)
    }

    /// Reports if the wheel of the program, which the module requires and another target builds, is
    /// missing.
    fn report_missing_program(&self, target: &Target) {
        let Some(other) = target.with_program() else { return };
        let Some(program) = Wheel::program(other) else { return };
        if program.find_in(&self.folder(other)).is_err() {
            println!(
                "NOT BUILT: {}, which the wheel for {} requires; run `cargo xtask dist --target {}`",
                program.file_name(),
                target.triple,
                other.triple
            );
        }
    }

    async fn notices(&self, wheel: &Wheel, triple: &str, more: Vec<Licence>) -> Result<Notices> {
        Notices::write(self, wheel, triple, more)
            .await
            .or_hint("collect the licences", "fix what is reported above")
    }

    /// Builds a wheel and checks it.
    async fn wheel(&self, target: &Target, cross: &Cross, wheel: &Wheel) -> Result<()> {
        let folder = self.folder(target);
        let _notices =
            self.notices(wheel, target.triple, notices::of_zig(self, wheel).await?).await?;
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
        maturin.arg("--compatibility").args(&wheel.systems).arg("--manifest-path");
        maturin.arg(self.repository.path(wheel.directory).join("Cargo.toml"));
        maturin.arg("--out").arg(&folder);
        maturin.env(cross.flags_variable(), flags(cross, wheel.flags));
        process::run(&mut maturin)
            .await
            .or_hint("build the wheel", "fix what is reported above")?;
        self.check(wheel, &folder).await.or_hint("check the wheel", "see the output above")
    }

    /// Checks the name, the licences and the size of the wheel in the folder.
    async fn check(&self, wheel: &Wheel, folder: &Path) -> Result<()> {
        let file = wheel.find_in(folder)?;
        let size = std::fs::metadata(&file)?.len();
        println!("{}  {:.2} MB", wheel.file_name(), size as f64 / 1e6);
        if size > LARGEST_WHEEL {
            bail!("the wheel is larger than {LARGEST_WHEEL} bytes");
        }
        let list =
            "import sys, zipfile; print(*zipfile.ZipFile(sys.argv[1]).namelist(), sep='\\n')";
        let files = process::capture(self.python.command(&["-c", list]).arg(&file)).await?;
        let missing = wheel.missing_licences(&files);
        ensure!(missing.is_empty(), "the wheel does not contain {}", missing.join(", "));
        let [system] = wheel.systems.as_slice() else {
            // A static program, about which auditwheel reports nothing.
            return Ok(());
        };
        if !system.starts_with("manylinux") {
            // auditwheel checks musl wheels only on a system with musl.
            return Ok(());
        }
        let mut audit = self.tool("auditwheel")?;
        let report = process::capture(audit.arg("show").arg(file)).await?;
        let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
        if !report.contains(&format!("consistent with the following platform tag: \"{system}")) {
            bail!("auditwheel does not agree with the tag: {report}");
        }
        Ok(())
    }

    /// Extracts the program, which must be static, and its licences from the wheel.
    async fn program(&self, folder: &Path, wheel: &Wheel) -> Result<()> {
        let program = folder.join("keybearer");
        let mut python = self.python.command(&[]);
        python.arg(self.repository.path("xtask/dist/extract_program.py"));
        python.arg(wheel.find_in(folder)?).arg(&program);
        process::run(&mut python).await.or_hint("check the program", "see the output above")?;
        let size = std::fs::metadata(&program)?.len();
        println!("keybearer  {:.2} MB", size as f64 / 1e6);
        Ok(())
    }
}

/// The flags for rustc: the target's standard library, and the flags of the wheel.
fn flags(cross: &Cross, more: &[&str]) -> String {
    let sysroot = cross.flag();
    sysroot.as_deref().into_iter().chain(more.iter().copied()).collect::<Vec<_>>().join(" ")
}
