//! Python interpreters for the processors and C libraries that wheels are built for.

use super::target::{Library, Machine, Target};
use crate::failure::MissingTool;
use crate::process;
use crate::tools::{Debian, Repository, install_debian, is_installed, prepared_once};
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The oldest release of Debian with a supported Python, and the newest.
const SUITES: [&str; 2] = ["bullseye", "sid"];

/// The release with CPython's source, and one whose musl is not older than zig's.
const SOURCE_SUITES: &str = "bookworm sid";
const SOURCE: &str = "python3.11";

/// A Python that runs on this machine, under qemu if necessary.
#[derive(Debug)]
pub(super) struct Interpreter {
    runner: Vec<OsString>,
    python: PathBuf,
}

impl Interpreter {
    /// The interpreters that prove the wheel of this target.
    pub(super) async fn all_for(
        repository: &Repository,
        target: &Target,
        zig: &Path,
    ) -> Result<Vec<Self>> {
        let machine = target.machine;
        if target.library == Library::Musl {
            return Ok(vec![musl(repository, machine, zig).await?]);
        }
        let mut interpreters = Vec::new();
        for suite in SUITES {
            interpreters.push(debian(repository, machine, suite).await?);
        }
        Ok(interpreters)
    }

    pub(super) fn command(&self) -> Command {
        command(&self.runner, &self.python)
    }
}

/// The program, started by `runner` if that is not empty.
pub(super) fn command(runner: &[OsString], program: &Path) -> Command {
    let Some((first, others)) = runner.split_first() else { return process::command(program) };
    let mut command = process::command(first);
    command.args(others).arg(program);
    command
}

/// The command that runs a program of the machine with the libraries in `root`; empty for this
/// machine.
pub(super) async fn runner(machine: &Machine, root: &Path) -> Result<Vec<OsString>> {
    if machine.is_ours() {
        return Ok(Vec::new());
    }
    let qemu = format!("qemu-{}-static", machine.name);
    if !is_installed(&qemu).await {
        let advice = format!(
            "{qemu} is missing; install it (on Debian and Ubuntu: apt-get install qemu-user-static)"
        );
        install_debian("qemu-user-static", &advice).await?;
    }
    Ok(vec![qemu.into(), "-L".into(), root.into()])
}

/// The Python of a Debian suite, with the C library of that suite.
async fn debian(
    repository: &Repository,
    machine: &'static Machine,
    suite: &str,
) -> Result<Interpreter> {
    let home = repository.tool_path("pythons").join(format!("{suite}-{}", machine.name));
    let root = home.join("root");
    prepared_once(&home.join("stamp"), suite, async || {
        println!("fetching the Python of Debian's {suite} for {}", machine.name);
        let debian = lists(home.join("apt"), suite, machine).await?;
        debian.unpack(&["python3-minimal", "libpython3-stdlib"], &root).await
    })
    .await?;
    let mut runner = runner(machine, &root).await?;
    if runner.is_empty() {
        // The dynamic linker of the system may be older than the C library of the suite.
        let place = format!("lib/{}-linux-gnu", machine.name);
        let (libraries, more) = (root.join(&place), root.join("usr").join(&place));
        runner.extend([libraries.join(machine.linker).into(), "--library-path".into()]);
        runner.push(std::env::join_paths([libraries, more])?);
    }
    Ok(Interpreter { runner, python: root.join("usr/bin/python3") })
}

/// Builds a Python for musl, which Debian does not have.
async fn musl(
    repository: &Repository,
    machine: &'static Machine,
    zig: &Path,
) -> Result<Interpreter> {
    let ours = Machine::ours().context("Pythons cannot be built on this kind of processor")?;
    let builder = build_musl(repository, ours, zig, None).await?;
    let python = if machine.is_ours() {
        builder
    } else {
        build_musl(repository, machine, zig, Some(&builder)).await?
    };
    let runner = runner(machine, &musl_home(repository, machine)).await?;
    Ok(Interpreter { runner, python })
}

fn musl_home(repository: &Repository, machine: &Machine) -> PathBuf {
    repository.tool_path("pythons").join(format!("musl-{}", machine.name))
}

async fn build_musl(
    repository: &Repository,
    machine: &'static Machine,
    zig: &Path,
    builder: Option<&Path>,
) -> Result<PathBuf> {
    let script = repository.path("xtask/dist/musl-python.sh");
    let home = musl_home(repository, machine);
    let recipe = std::fs::read_to_string(&script)?;
    prepared_once(&home.join("stamp"), &recipe, async || {
        println!("building a Python for musl on {}", machine.name);
        let _ = std::fs::remove_dir_all(&home);
        let debian = lists(home.join("apt"), SOURCE_SUITES, machine).await?;
        debian.unpack(&["musl"], &home).await?;
        let archive = debian.source(SOURCE).await?;
        let source = home.join("source");
        std::fs::create_dir_all(&source)?;
        let mut tar = process::command("tar");
        tar.arg("-xf").arg(archive).arg("--strip-components=1").arg("-C").arg(&source);
        process::run(&mut tar).await?;
        let mut build = process::command("sh");
        build.arg(&script).args([zig, &source, &home]).arg(machine.name).args(builder);
        process::run(&mut build).await
    })
    .await?;
    Ok(home.join("build/python"))
}

async fn lists(work: PathBuf, suites: &str, machine: &'static Machine) -> Result<Debian> {
    let debian = Debian::prepare(work, suites, Some(machine.debian)).await?;
    let advice = "the Pythons come from Debian; run this on a system with apt";
    debian.ok_or_else(|| MissingTool { advice: advice.to_owned() }.into())
}
