//! Packages as files: what tests install by themselves, and what they read.

use crate::process;
use crate::tools::{Python, Repository, prepared_once};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Where a build of the `keybearer` wheel is put, alone.
pub(super) async fn keybearer_wheel(repository: &Repository) -> Result<PathBuf> {
    // Of the environment that the package's own tests use: for another one cargo would build anew.
    let requirements = repository.path("xtask/python/requirements.txt");
    let python = Python::prepare(repository, "python", &requirements).await?;
    let wheels = repository.tool_path("wheels");
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels)?;
    }
    let mut maturin = python.command(&["-m", "maturin", "build", "--quiet", "--locked", "--out"]);
    maturin.arg(&wheels).current_dir(repository.path("crates/python"));
    process::run(&mut maturin).await.context("could not build the Python package")?;
    Ok(wheels)
}

/// Downloads what `requirements` pins into the folder `name` of the environment, once. With the
/// environment it goes: wheels are made for one version of Python.
pub(super) async fn download(
    python: &Python,
    (name, requirements): (&str, &Path),
    options: &[&str],
) -> Result<PathBuf> {
    let folder = python.home().join(name);
    let pins = std::fs::read_to_string(requirements)
        .with_context(|| format!("could not read {}", requirements.display()))?;
    prepared_once(&folder.join("stamp"), &pins, async || {
        println!("downloading the packages of {}", requirements.display());
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let mut pip = python.command(&["-m", "pip", "download", "--quiet", "--no-deps"]);
        pip.args(["--disable-pip-version-check", "--require-hashes"]).args(options);
        pip.arg("--dest").arg(&folder).arg("-r").arg(requirements);
        process::run(&mut pip)
            .await
            .context("pip could not download the pinned packages; is the package index reachable?")
    })
    .await?;
    Ok(folder)
}
