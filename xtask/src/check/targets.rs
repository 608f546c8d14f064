//! The lints of what is built for systems this machine is not.

use crate::failure::{MissingTool, OrHint as _};
use crate::process;
use crate::tools::{Cross, Repository, wine};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::time::Instant;

/// What people run there: everything but the D-Bus crates, the broker and the emulator.
const PACKAGES: [&str; 9] = [
    "keybearer-core",
    "keybearer-protocol",
    "keybearer-engine",
    "keybearer-host",
    "keybearer-native",
    "keybearer-client",
    "keybearer",
    "keybearer-cli",
    "keybearer-python",
];

/// A system this machine is not.
struct Target {
    triple: &'static str,
    /// Crates and features for this system alone.
    besides: &'static [&'static str],
    /// What more than lints is known about it, and what is not.
    linked_and_run: &'static str,
}

const WINDOWS: &[&str] = &["-p", "keybearer-fake-wam", "--features", "keybearer-fake-wam/provider"];
const MACOS: &[&str] = &["--features", "keybearer-native/macos-sso-extension"];
const NO_SDK: &str = "linked: no, for want of Apple's SDK; run: no";

const TARGETS: [Target; 4] = [
    Target {
        triple: wine::TARGET,
        besides: WINDOWS,
        linked_and_run: "linked and run: in Wine, by `cargo xtask test`",
    },
    Target {
        triple: "x86_64-pc-windows-msvc",
        besides: WINDOWS,
        linked_and_run: "linked: no, for want of Microsoft's import libraries; run: no",
    },
    Target { triple: "aarch64-apple-darwin", besides: MACOS, linked_and_run: NO_SDK },
    Target { triple: "x86_64-apple-darwin", besides: MACOS, linked_and_run: NO_SDK },
];

/// clippy for each target; then a line for each, of what was and what was not checked.
pub(super) async fn check(repository: &Repository) -> Result<()> {
    let cryptography = cryptography(repository).await?;
    let mut outcomes = Vec::new();
    for target in &TARGETS {
        println!("== lints for {}", target.triple);
        let begun = Instant::now();
        outcomes.push(match Cross::prepare(repository, target.triple).await {
            Ok(cross) => {
                lint(repository, &cross, target, &cryptography)
                    .await
                    .or_hint(target.triple, "mend what clippy names; an `allow` needs a reason")?;
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
    clippy.args(target.besides);
    // Nothing is linked, so the C of aws-lc, for which there is no compiler here, need not be built:
    // cargo takes what its build script would have said from here instead.
    let triple = target.triple;
    let name = triple.replace('-', "_");
    for said in [format!("rustc-cfg=[\"{name}\"]"), "include=\"not built\"".to_owned()] {
        clippy.args(["--config", &format!("target.{triple}.{cryptography}.{said}")]);
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
