//! The lints of what is built for systems this machine is not.

use crate::failure::{MissingTool, OrHint as _};
use crate::process;
use crate::tools::{Cross, Repository, wine};
use anyhow::{Context as _, Result};
use serde::Deserialize;

/// What people run there: everything but the D-Bus crates, the broker and the emulator.
const PACKAGES: [&str; 7] = [
    "keybearer-core",
    "keybearer-protocol",
    "keybearer-engine",
    "keybearer-host",
    "keybearer-client",
    "keybearer",
    "keybearer-cli",
];

const TARGETS: [&str; 4] =
    [wine::TARGET, "x86_64-pc-windows-msvc", "aarch64-apple-darwin", "x86_64-apple-darwin"];

/// clippy for each target.
pub(super) async fn check(repository: &Repository) -> Result<()> {
    let cryptography = cryptography(repository).await?;
    for target in TARGETS {
        println!("== lints for {target}");
        match Cross::prepare(repository, target).await {
            Ok(cross) => lint(repository, &cross, target, &cryptography)
                .await
                .or_hint(target, "mend what clippy names; an `allow` needs a reason")?,
            Err(error) if error.is::<MissingTool>() && std::env::var_os("CI").is_none() => {
                println!("NOT CHECKED: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    println!("NOT CHECKED: linking for msvc and macOS, and the C of the cryptography there");
    Ok(())
}

async fn lint(
    repository: &Repository,
    cross: &Cross,
    target: &str,
    cryptography: &str,
) -> Result<()> {
    let mut clippy = cross.cargo(repository, &["clippy", "--quiet", "--locked"]);
    for package in PACKAGES {
        clippy.args(["-p", package]);
    }
    if target.contains("windows") {
        clippy.args(["-p", "keybearer-fake-wam", "--features", "keybearer-fake-wam/provider"]);
    }
    // Nothing is linked, so the C of aws-lc, for which there is no compiler here, need not be built:
    // cargo takes what its build script would have said from here instead.
    let name = target.replace('-', "_");
    for said in [format!("rustc-cfg=[\"{name}\"]"), "include=\"not built\"".to_owned()] {
        clippy.args(["--config", &format!("target.{target}.{cryptography}.{said}")]);
    }
    process::run(clippy.args(["--", "-D", "warnings"])).await
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    links: Option<String>,
}

/// The name under which aws-lc-sys links, which has its version in it.
async fn cryptography(repository: &Repository) -> Result<String> {
    let mut cargo = repository.cargo(&["metadata", "--format-version", "1", "--locked"]);
    let metadata = process::capture(&mut cargo).await.context("could not read the crate graph")?;
    let metadata: Metadata = serde_json::from_str(&metadata)?;
    let found = metadata.packages.into_iter().find(|package| package.name == "aws-lc-sys");
    found.and_then(|package| package.links).context("aws-lc-sys is among the dependencies")
}
