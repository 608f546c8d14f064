//! Formatting, lints and types of the Python package.

use crate::failure::OrHint as _;
use crate::process;
use crate::tools::{Python, Repository};
use anyhow::Result;

pub(super) async fn check(repository: &Repository) -> Result<()> {
    let hint = "install what is named above, then try again";
    let pins = repository.path("xtask/check/requirements.txt");
    let tools = Python::prepare(repository, "lint", &pins).await.or_hint("get the tools", hint)?;
    // What the package and its tests import is looked up there.
    let pins = repository.path("xtask/python/requirements.txt");
    let tests = Python::prepare(repository, "python", &pins)
        .await
        .or_hint("get the packages that the tests use", hint)?;
    for (arguments, hint) in [
        (["format", "--check", "--quiet"].as_slice(), "run `ruff format`"),
        (["check", "--quiet"].as_slice(), "mend what ruff names above"),
    ] {
        let mut ruff = tools.command(&["-m", "ruff"]);
        ruff.args(arguments).args(["crates/python", "python"]).current_dir(repository.path(""));
        process::run(&mut ruff).await.or_hint("Python", hint)?;
    }
    let mut mypy = tools.command(&["-m", "mypy", "--no-error-summary", "--python-executable"]);
    mypy.arg(tests.interpreter()).arg("python/keybearer");
    mypy.current_dir(repository.path("crates/python"));
    process::run(&mut mypy).await.or_hint("Python", "mend the types that mypy names above")
}
