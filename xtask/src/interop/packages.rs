//! Downloaded packages, which tests install or read.

use crate::process;
use crate::tools::{Python, prepared_once};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Downloads what `requirements` pins into the folder `name` of the environment, once. The folder is
/// removed with the environment, because wheels are for one version of Python.
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
        process::run(&mut pip).await.context(
            "pip could not download the pinned packages; the package index may be unreachable",
        )
    })
    .await?;
    Ok(folder)
}
