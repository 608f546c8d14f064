//! `test`: everything the project tests, fast tests first.

mod tally;
mod windows;

use crate::arrows;
use crate::demo;
use crate::failure::{self, Interrupted, MissingTool};
use crate::interop;
use crate::process::{self, unless_interrupted};
use crate::tools::{Python, Repository, node_packages};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};
pub(crate) use tally::Tally;
use tokio::process::Command;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only the sections with this text in their name
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let mut report = Report { only: options.only.clone(), sections: Vec::new() };
    let mut outcome =
        unless_interrupted(Box::pin(sections(&Repository::here(), &mut report))).await;
    if outcome.is_ok() {
        // Not in `sections`: when interrupted, the demo must first stop its servers.
        let demo = Box::pin(async { as_one_test(demo::run(&demo::Options::unattended()).await) });
        outcome = report.section("demo", demo).await;
    }
    report.print();
    outcome?;
    if report.total().failed > 0 {
        bail!("tests failed");
    }
    Ok(())
}

async fn sections(repository: &Repository, report: &mut Report) -> Result<()> {
    report.section("crate graph", async { as_one_test(arrows::check(repository).await) }).await?;
    report.section("Rust", rust(repository)).await?;
    if cfg!(target_os = "linux") {
        report.section("Windows, in Wine", Box::pin(windows::in_wine(repository))).await?;
    }
    if repository.path("crates/python/tests").is_dir() {
        report.section("Python package", python_package(repository)).await?;
    }
    if repository.path("interop/python").is_dir() {
        report.section("real clients, Python", python_clients(repository)).await?;
    }
    if repository.path("interop/node").is_dir() {
        report.section("real clients, Node", node_clients(repository)).await?;
    }
    report.section("real clients, broker", interop::clients(repository)).await?;
    report.section("drop-in distribution", interop::drop_in::tests(repository)).await?;
    report.section("real clients, Azure CLI", interop::azure_cli(repository)).await?;
    report.section("peers' tests", interop::peers::tests(repository)).await?;
    Ok(())
}

async fn rust(repository: &Repository) -> Result<Tally> {
    // axe-core checks the broker's pages. Without it their test fails in CI; elsewhere it is skipped.
    let axe = node_packages(&repository.path("crates/host/tests/accessibility")).await;
    if let Err(error) = axe {
        println!("the accessibility of the broker's pages is not tested: {error:#}");
    }
    // The Python module links only into an interpreter; the next section tests it.
    let mut cargo = repository.cargo(&[
        "test",
        "--workspace",
        "--exclude",
        "keybearer-python",
        "--no-fail-fast",
        "--locked",
    ]);
    counted(&mut cargo, Tally::of_cargo).await
}

async fn python_package(repository: &Repository) -> Result<Tally> {
    let python =
        Python::prepare(repository, "python", &repository.path("xtask/python/requirements.txt"))
            .await?;
    python.install_keybearer(repository, "dev").await?;
    build(repository, &["keybearer-cli", "keybearer-emulator"]).await?;
    let mut pytest = python.command(&["-m", "pytest", "-q", "crates/python/tests"]);
    pytest.current_dir(repository.path(""));
    counted(&mut pytest, Tally::of_pytest).await
}

async fn python_clients(repository: &Repository) -> Result<Tally> {
    let directory = repository.path("interop/python");
    let python =
        Python::prepare(repository, "interop", &directory.join("requirements.txt")).await?;
    python.install_keybearer(repository, "dev").await?;
    build(repository, &["keybearer-cli", "keybearer-emulator"]).await?;
    let mut pytest = python.command(&["-m", "pytest", "-q"]);
    pytest.current_dir(directory);
    counted(&mut pytest, Tally::of_pytest).await
}

async fn node_clients(repository: &Repository) -> Result<Tally> {
    let directory = repository.path("interop/node");
    node_packages(&directory).await?;
    build(repository, &["keybearer-emulator"]).await?;
    let mut node = process::command("node");
    node.args(["--test", "--test-reporter=spec"]).current_dir(directory);
    counted(&mut node, Tally::of_node).await
}

/// Builds packages; the suites start the programs in `target/debug`.
pub(crate) async fn build(repository: &Repository, packages: &[&str]) -> Result<()> {
    let mut cargo = repository.cargo(&["build", "--quiet", "--locked"]);
    for package in packages {
        cargo.args(["-p", package]);
    }
    process::run(&mut cargo).await
}

/// Counts a step as one test.
fn as_one_test(outcome: Result<()>) -> Result<Tally> {
    outcome.map(|()| Tally::PASSED)
}

/// Runs a suite and counts its tests.
pub(crate) async fn counted(command: &mut Command, count: fn(&str) -> Tally) -> Result<Tally> {
    let output = process::tee(command).await?;
    let tally = count(&output.stdout);
    // A suite that could not be built has no counts.
    Ok(if output.success || tally.failed > 0 { tally } else { tally.and(Tally::FAILED) })
}

#[derive(Debug)]
struct Report {
    only: Option<String>,
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    name: &'static str,
    tally: Tally,
    took: Duration,
    skipped: Option<String>,
}

impl Report {
    /// Runs a section. An error is a failure; outside CI, a missing program skips the section.
    async fn section(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<Tally>>,
    ) -> Result<()> {
        if self.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            return Ok(());
        }
        println!("\n== {name}");
        let begun = Instant::now();
        let (tally, skipped) = match work.await {
            Ok(tally) => (tally, None),
            Err(error) => match error.downcast_ref::<MissingTool>() {
                Some(missing) if std::env::var_os("CI").is_none() => {
                    (Tally::default(), Some(missing.to_string()))
                }
                _ if error.is::<Interrupted>() => return Err(error),
                _ => {
                    // Prints the error with its hint; the exit code is chosen at the end.
                    let _ = failure::report(Err(error));
                    (Tally::FAILED, None)
                }
            },
        };
        self.sections.push(Section { name, tally, took: begun.elapsed(), skipped });
        Ok(())
    }

    fn total(&self) -> Tally {
        self.sections.iter().fold(Tally::default(), |total, section| total.and(section.tally))
    }

    fn print(&self) {
        println!("\n{:<24} {:>7} {:>7} {:>9}", "section", "passed", "failed", "seconds");
        let longest = self.sections.iter().map(|section| section.took).max();
        for section in &self.sections {
            let Tally { passed, failed } = section.tally;
            let mark = if Some(section.took) == longest { "  longest" } else { "" };
            println!(
                "{:<24} {passed:>7} {failed:>7} {:>9.1}{mark}",
                section.name,
                section.took.as_secs_f64()
            );
            if let Some(reason) = &section.skipped {
                println!("  skipped: {reason}");
            }
        }
        let Tally { passed, failed } = self.total();
        println!("\n{passed} passed, {failed} failed");
    }
}
