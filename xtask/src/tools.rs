//! The tools that the commands need, prepared once below `.keybearer/`.

mod cross;
mod debian;
mod node;
mod python;
mod windows_python;
pub(crate) mod wine;

pub(crate) use cross::Cross;
pub(crate) use debian::Debian;
pub(crate) use node::{node_packages, npx};
pub(crate) use python::{Python, build_wheels};
pub(crate) use windows_python::WindowsPython;
pub(crate) use wine::Wine;

use crate::failure::MissingTool;
use crate::process;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// A checked-out source tree.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The tree this program was built from.
    pub(crate) fn here() -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { root: package.parent().unwrap_or(package).to_owned() }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A path below the directory of prepared tools, which is not under version control.
    pub(crate) fn tool_path(&self, relative: &str) -> PathBuf {
        self.root.join(".keybearer").join(relative)
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.path("target"), |dir| self.root.join(dir))
    }

    /// The directory of debug binaries.
    pub(crate) fn binaries(&self) -> PathBuf {
        self.target().join("debug")
    }

    /// The debug binary of that name.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.binaries().join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        // The cargo that started xtask, not the first one on PATH.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        self.command(cargo, arguments)
    }

    pub(crate) fn command(
        &self,
        program: impl AsRef<std::ffi::OsStr>,
        arguments: &[&str],
    ) -> Command {
        let mut command = process::command(program);
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// cargo-deny, in the version that deny.toml is written for.
    pub(crate) async fn cargo_deny(&self) -> Result<PathBuf> {
        self.cargo_tool("cargo-deny@0.20.2", &[]).await
    }

    /// cargo-about, which collects licences, in the version that about.toml is written for.
    pub(crate) async fn cargo_about(&self) -> Result<PathBuf> {
        self.cargo_tool("cargo-about@0.9.3", &["--features", "cli"]).await
    }

    /// Installs a program from the registry, once.
    async fn cargo_tool(&self, pin: &str, options: &[&str]) -> Result<PathBuf> {
        let (name, _) = pin.split_once('@').context("the pin has no version")?;
        let root = self.tool_path("tools");
        let program = root.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        prepared_once(&root.join(format!("{name}.stamp")), pin, async || {
            println!("installing {pin}, once; this takes some minutes");
            let mut cargo = self.cargo(&["install", "--quiet", "--locked", "--root"]);
            process::run(cargo.arg(&root).args(options).arg(pin)).await
        })
        .await?;
        Ok(program)
    }
}

/// Runs `prepare` unless it has succeeded before with the same `recipe`, kept in the stamp file.
pub(crate) async fn prepared_once(
    stamp: &Path,
    recipe: &str,
    prepare: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    if std::fs::read_to_string(stamp).is_ok_and(|done| done == recipe) {
        return Ok(());
    }
    prepare().await?;
    let directory = stamp.parent().context("the stamp has no directory")?;
    std::fs::create_dir_all(directory)?;
    std::fs::write(stamp, recipe).with_context(|| format!("could not write {}", stamp.display()))
}

/// Whether the program can be started.
pub(crate) async fn is_installed(program: &str) -> bool {
    let mut command = process::command(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await.is_ok()
}

/// Installs Debian packages if this process may do so; otherwise returns the advice as an error.
pub(crate) async fn install_debian(packages: &str, advice: &str) -> Result<()> {
    if !(is_root() && is_installed("apt-get").await) {
        return Err(MissingTool { advice: advice.to_owned() }.into());
    }
    println!("installing {packages} with apt-get");
    let mut apt = process::command("apt-get");
    apt.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages.split(' '));
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    if process::run(&mut apt).await.is_ok() {
        return Ok(());
    }
    // The lists of a fresh machine are empty.
    let mut update = process::command("apt-get");
    process::run(update.args(["update", "--quiet"])).await?;
    process::run(&mut apt).await
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
const fn is_root() -> bool {
    false
}
