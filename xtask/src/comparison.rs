//! `comparison`: runs every keyword and behaviour with the official package and with Keybearer, into
//! `docs/comparison.md`. It takes minutes, because some calls of the official package never end.

use crate::interop::install_for_microsofts_runtime;
use crate::process::{self, unless_interrupted};
use crate::test::build;
use crate::tools::{Python, Repository};
use anyhow::{Context as _, Result, bail};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only the cases with this text in their name; the page is not changed
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    unless_interrupted(Box::pin(compare(&Repository::here(), options))).await
}

async fn compare(repository: &Repository, options: &Options) -> Result<()> {
    install_for_microsofts_runtime().await?;
    let directory = repository.path("interop/comparison");
    let python =
        Python::prepare(repository, "comparison", &directory.join("requirements.txt")).await?;
    build(repository, &["keybearer-cli", "keybearer-emulator"]).await?;
    python.install_keybearer(repository, "dev").await?;
    // Removed even if the comparison is interrupted.
    let machines = tempfile::tempdir().context("could not create a directory for the machines")?;
    let mut command = python.command(&["compare.py"]);
    command.current_dir(directory).env("KEYBEARER_PROGRAMS", repository.binaries());
    command.env("TMPDIR", machines.path());
    if let Some(text) = &options.only {
        command.args(["--only", text]);
    }
    if !process::tee(&mut command).await?.success {
        bail!("the comparison did not finish");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first cells of the rows of the page's tables, in the order of the page.
    fn rows(page: &str) -> Vec<&str> {
        let lines = page.lines().filter_map(|line| line.strip_prefix("| "));
        lines.filter_map(|line| line.split(" | ").next()).filter(|cell| *cell != "case").collect()
    }

    #[test]
    fn the_page_has_a_row_for_each_case_and_no_other() {
        let repository = Repository::here();
        let read = |path: &str| std::fs::read_to_string(repository.path(path)).unwrap();
        let cases: toml::Table = read("interop/comparison/cases.toml").parse().unwrap();
        let cases = cases["cases"].as_array().unwrap().iter();
        let names: Vec<&str> = cases.map(|case| case["name"].as_str().unwrap()).collect();
        let page = read("docs/comparison.md");
        assert_eq!(rows(&page), names, "run `cargo xtask comparison`");
    }
}
