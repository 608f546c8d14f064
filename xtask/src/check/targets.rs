//! Lints for the other operating systems.

use crate::failure::{MissingTool, OrHint as _};
use crate::process;
use crate::tools::{Cross, Repository, wine};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::time::Instant;

/// The crates that run there: all but the D-Bus crates, the broker and the emulator.
const PACKAGES: [&str; 8] = [
    "keybearer-core",
    "keybearer-protocol",
    "keybearer-engine",
    "keybearer-host",
    "keybearer-client",
    "keybearer",
    "keybearer-cli",
    "keybearer-python",
];

/// Another operating system.
struct Target {
    triple: &'static str,
    /// Crates and features for this system only.
    more: &'static [&'static str],
    /// Whether programs for it are linked and run elsewhere.
    linked_and_run: &'static str,
}

const WINDOWS: &[&str] = &["-p", "keybearer-fake-wam", "--features", "keybearer-fake-wam/provider"];
const MACOS: &[&str] = &["--features", "keybearer-client/macos-sso-extension"];
const NO_SDK: &str = "linked: no, Apple's SDK is missing; run: no";

const TARGETS: [Target; 4] = [
    Target {
        triple: wine::TARGET,
        more: WINDOWS,
        linked_and_run: "linked and run: in Wine, by `cargo xtask test`",
    },
    Target {
        triple: "x86_64-pc-windows-msvc",
        more: WINDOWS,
        linked_and_run: "linked: no, Microsoft's import libraries are missing; run: no",
    },
    Target { triple: "aarch64-apple-darwin", more: MACOS, linked_and_run: NO_SDK },
    Target { triple: "x86_64-apple-darwin", more: MACOS, linked_and_run: NO_SDK },
];

/// Runs clippy for each target; then prints what was and what was not checked.
pub(super) async fn check(repository: &Repository) -> Result<()> {
    let cryptography = cryptography(repository).await?;
    let mut outcomes = Vec::new();
    for target in &TARGETS {
        println!("== lints for {}", target.triple);
        let begun = Instant::now();
        outcomes.push(match Cross::prepare(repository, target.triple).await {
            Ok(cross) => {
                lint(repository, &cross, target, &cryptography).await.or_hint(
                    &format!("lint for {}", target.triple),
                    "fix what clippy names; an `allow` needs a reason",
                )?;
                format!("linted, in {:.0} s", begun.elapsed().as_secs_f64())
            }
            Err(error) if error.is::<MissingTool>() && std::env::var_os("CI").is_none() => {
                format!("NOT LINTED: {error}")
            }
            Err(error) => return Err(error),
        });
    }
    for (target, outcome) in TARGETS.iter().zip(outcomes) {
        println!("{:<23} {outcome}", target.triple);
        println!("{:<23} C of the cryptography: not built for lints", "");
        println!("{:<23} {}", "", target.linked_and_run);
    }
    Ok(())
}

async fn lint(
    repository: &Repository,
    cross: &Cross,
    target: &Target,
    cryptography: &str,
) -> Result<()> {
    let mut clippy = cross.cargo(repository, &["clippy", "--quiet", "--locked"]);
    for package in PACKAGES {
        clippy.args(["-p", package]);
    }
    clippy.args(target.more);
    // Nothing is linked, so the C code of aws-lc, for which there is no compiler here, is not built:
    // these settings replace the output of its build script.
    let triple = target.triple;
    let name = triple.replace('-', "_");
    for output in [format!("rustc-cfg=[\"{name}\"]"), "include=\"not built\"".to_owned()] {
        clippy.args(["--config", &format!("target.{triple}.{cryptography}.{output}")]);
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

/// The `links` name of aws-lc-sys, which contains its version.
async fn cryptography(repository: &Repository) -> Result<String> {
    let mut cargo = repository.cargo(&["metadata", "--format-version", "1", "--locked"]);
    let metadata = process::capture(&mut cargo).await.context("could not read the crate graph")?;
    let metadata: Metadata = serde_json::from_str(&metadata)?;
    let found = metadata.packages.into_iter().find(|package| package.name == "aws-lc-sys");
    found.and_then(|package| package.links).context("aws-lc-sys is not among the dependencies")
}
