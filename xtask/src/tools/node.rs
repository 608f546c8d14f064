//! Node packages, installed from a lock file.

use super::{is_installed, prepared_once};
use crate::failure::MissingTool;
use crate::process;
use anyhow::{Context as _, Result};
use std::path::Path;
use tokio::process::Command;

/// Installs what `directory/package-lock.json` pins into `directory/node_modules`.
pub(crate) async fn node_packages(directory: &Path) -> Result<()> {
    if !is_installed("node").await || !is_installed(NPM).await {
        let advice = "Node.js 20 or newer with npm is missing; install it from https://nodejs.org or your system's packages";
        return Err(MissingTool { advice: advice.to_owned() }.into());
    }
    let lock = directory.join("package-lock.json");
    let recipe = std::fs::read_to_string(&lock)
        .with_context(|| format!("could not read {}", lock.display()))?;
    prepared_once(&directory.join("node_modules/.stamp"), &recipe, async || {
        println!("installing the Node packages of {}", directory.display());
        let mut npm = process::command(NPM);
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(directory);
        process::run(&mut npm).await.context(
            "npm could not install the pinned packages; the npm registry may be unreachable",
        )
    })
    .await
}

/// A program of a package installed by [`node_packages`], started without npx.
pub(crate) fn npx(directory: &Path, script: &str) -> Command {
    let mut node = process::command("node");
    node.arg(directory.join("node_modules").join(script));
    node
}

const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };
