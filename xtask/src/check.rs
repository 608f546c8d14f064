//! `check`: everything that can be checked without running the code, fast checks first.

mod promises;
mod python;
mod sizes;
mod targets;

use crate::arrows;
use crate::failure::OrHint as _;
use crate::process::{self, unless_interrupted};
use crate::tools::Repository;
use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Also lint what is built for Windows and macOS
    #[arg(long)]
    all_targets: bool,
    /// Only lint what is built for Windows and macOS
    #[arg(long, conflicts_with = "all_targets")]
    only_other_targets: bool,
    /// Only check what needs no compiler: sizes, promises, crate graph; takes seconds
    #[arg(long, conflicts_with_all = ["all_targets", "only_other_targets"])]
    only_texts: bool,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    unless_interrupted(checks(&Repository::here(), options)).await
}

async fn checks(repository: &Repository, options: &Options) -> Result<()> {
    if options.only_other_targets {
        return Box::pin(targets::check(repository)).await;
    }
    texts(repository).await?;
    if options.only_texts {
        return Ok(());
    }
    heading("formatting");
    cargo(repository, &["fmt", "--check"])
        .await
        .or_hint("check the formatting", "run `cargo fmt`")?;
    heading("lints");
    cargo(
        repository,
        &["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
    )
    .await
    .or_hint("lint", "fix what clippy names; an `allow` needs a reason")?;
    heading("Python");
    python::check(repository).await?;
    if options.all_targets {
        Box::pin(targets::check(repository)).await?;
    }
    heading("documentation");
    let mut doc = repository.cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--locked"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
        .await
        .or_hint("build the documentation", "fix the comment that rustdoc names")?;
    dependencies(repository).await?;
    println!("everything checked");
    Ok(())
}

/// The checks that need no compiler.
async fn texts(repository: &Repository) -> Result<()> {
    heading("sizes");
    sizes::check(repository)
        .or_hint("check the sizes", "split the file where a second noun begins")?;
    heading("promises");
    promises::check(repository)
        .or_hint("check the promises", "cite a promise that is defined, or say it in words")?;
    heading("crate graph");
    arrows::check(repository).await.or_hint(
        "check the crate graph",
        "move the code to a crate that may have this dependency",
    )?;
    Ok(())
}

async fn dependencies(repository: &Repository) -> Result<()> {
    heading("dependencies");
    let deny = repository
        .cargo_deny()
        .await
        .or_hint("install cargo-deny", "check that the package registry is reachable")?;
    let mut rules =
        repository.command(&deny, &["--locked", "check", "licenses", "bans", "sources"]);
    process::run(&mut rules).await.or_hint(
        "check the dependencies",
        "use another crate, or add an exception with its reason to deny.toml",
    )?;
    heading("advisories");
    // A database that cannot be fetched is not a finding; an advisory in one that was fetched is.
    let mut fetch = repository.command(&deny, &["fetch", "db"]);
    if process::run(&mut fetch).await.is_err() {
        println!("NOT CHECKED: the advisory database could not be fetched");
        return Ok(());
    }
    let mut advisories = repository.command(&deny, &["--locked", "check", "advisories"]);
    process::run(&mut advisories)
        .await
        .or_hint("check the advisories", "update the crate that the advisory names")
}

async fn cargo(repository: &Repository, arguments: &[&str]) -> Result<()> {
    process::run(&mut repository.cargo(arguments)).await
}

fn heading(name: &str) {
    println!("== {name}");
}
