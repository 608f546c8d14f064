//! Virtual environments made from pinned requirement files.

use super::{Repository, install_debian, prepared_once};
use crate::failure::MissingTool;
use crate::process;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// A virtual environment.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    home: PathBuf,
}

impl Python {
    /// The environment `name` with the packages that `requirements` pins; created again when they change.
    pub(crate) async fn prepare(
        repository: &Repository,
        name: &str,
        requirements: &Path,
    ) -> Result<Self> {
        let python = Self { home: repository.tool_path(name) };
        let pins = std::fs::read_to_string(requirements)
            .with_context(|| format!("could not read {}", requirements.display()))?;
        let (system, version) = system_python().await?;
        let recipe = format!("# Python {version}\n{pins}");
        prepared_once(&python.home.join("stamp"), &recipe, async || {
            println!("installing the Python packages of {}", requirements.display());
            python.create(system).await?;
            let mut pip = python.command(&[
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                // All dependencies are pinned, except those that are left out on purpose.
                "--no-deps",
                "-r",
            ]);
            process::run(pip.arg(requirements)).await.context(
                "pip could not install the pinned packages; the package index may be unreachable",
            )
        })
        .await?;
        Ok(python)
    }

    async fn create(&self, system: &str) -> Result<()> {
        let has_venv = command(system, &["-c", "import ensurepip, venv"])
            .stderr(Stdio::null())
            .status()
            .await?
            .success();
        if !has_venv {
            install_debian(
                "python3-venv",
                "Python's venv module is missing; install it (on Debian and Ubuntu: apt-get install python3-venv)",
            )
            .await?;
        }
        let mut venv = command(system, &["-m", "venv", "--clear"]);
        process::run(venv.arg(&self.home)).await
    }

    /// The environment's interpreter.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut python = command(self.interpreter(), arguments);
        // maturin and other tools read this.
        python.env("VIRTUAL_ENV", &self.home);
        python
    }

    /// Builds the `keybearer` wheel with a cargo profile and installs it, without `keybearer-cli`, which
    /// it requires.
    pub(crate) async fn install_keybearer(
        &self,
        repository: &Repository,
        profile: &str,
    ) -> Result<()> {
        let wheels = build_wheels(repository, &["crates/python"], profile).await?;
        let mut pip = self.command(&["-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]);
        pip.args(["--disable-pip-version-check", "--force-reinstall", "--find-links"]);
        process::run(pip.arg(wheels).arg("keybearer"))
            .await
            .context("could not install the Python package")
    }

    /// The directory of the environment.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// The path of the interpreter.
    pub(crate) fn interpreter(&self) -> PathBuf {
        self.binaries().join("python")
    }

    fn binaries(&self) -> PathBuf {
        self.home.join(if cfg!(windows) { "Scripts" } else { "bin" })
    }
}

/// Builds the wheels of these directories into an empty directory.
pub(crate) async fn build_wheels(
    repository: &Repository,
    directories: &[&str],
    profile: &str,
) -> Result<PathBuf> {
    // One environment builds all wheels: with another interpreter cargo would build everything again.
    let requirements = repository.path("xtask/python/requirements.txt");
    let python = Python::prepare(repository, "python", &requirements).await?;
    let wheels = repository.tool_path("wheels");
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels)?;
    }
    for directory in directories {
        let mut maturin = python.command(&["-m", "maturin", "build", "--quiet", "--locked"]);
        maturin.args(["--compression-method", "stored", "--profile", profile, "--out"]);
        maturin.arg(&wheels).current_dir(repository.path(directory));
        process::run(&mut maturin)
            .await
            .with_context(|| format!("could not build the wheel of {directory}"))?;
    }
    Ok(wheels)
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut python = process::command(program);
    python.args(arguments);
    python
}

/// The first Python on PATH that is new enough, with its version.
async fn system_python() -> Result<(&'static str, String)> {
    for program in ["python3", "python"] {
        let script = "import sys; assert sys.version_info >= (3, 9); print(sys.version.split()[0])";
        let mut python = command(program, &["-c", script]);
        if let Ok(version) = process::capture(python.stderr(Stdio::null())).await {
            return Ok((program, version.trim().to_owned()));
        }
    }
    let advice = "Python 3.9 or newer is missing; install it from https://www.python.org or your system's packages";
    Err(MissingTool { advice: advice.to_owned() }.into())
}
