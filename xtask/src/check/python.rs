//! Formatting, lints and types of the Python package.

use crate::failure::OrHint as _;
use crate::process;
use crate::tools::{Python, Repository};
use anyhow::Result;

/// A program that mypy must accept.
const CONSUMER: &str = "tests/typing/consumer.py";
/// Names in which the native module and its stub may differ.
const EXCEPTIONS: &str = "tests/typing/stubtest.txt";

pub(super) async fn check(repository: &Repository) -> Result<()> {
    let hint = "install what is missing, then try again";
    let pins = repository.path("xtask/check/requirements.txt");
    let tools =
        Python::prepare(repository, "lint", &pins).await.or_hint("prepare the tools", hint)?;
    // mypy looks up there what the package and its tests import.
    let pins = repository.path("xtask/python/requirements.txt");
    let tests = Python::prepare(repository, "python", &pins)
        .await
        .or_hint("prepare the packages that the tests use", hint)?;
    for (arguments, hint) in [
        (["format", "--check", "--quiet"].as_slice(), "run `ruff format`"),
        (["check", "--quiet"].as_slice(), "fix what ruff reports"),
    ] {
        let mut ruff = tools.command(&["-m", "ruff"]);
        ruff.args(arguments).args(["crates/python", "python"]).current_dir(repository.path(""));
        process::run(&mut ruff).await.or_hint("check the Python code", hint)?;
    }
    let mut mypy = tools.command(&["-m", "mypy", "--no-error-summary", "--python-executable"]);
    mypy.arg(tests.interpreter()).args(["python/keybearer", CONSUMER]);
    mypy.current_dir(repository.path("crates/python"));
    process::run(&mut mypy)
        .await
        .or_hint("check the types of the Python code", "fix what mypy reports")?;
    if cfg!(target_os = "linux") {
        stub(repository, &tools, &tests).await?;
    }
    Ok(())
}

/// Compares `_native.pyi` with the module. On other systems the module has fewer classes.
async fn stub(repository: &Repository, tools: &Python, tests: &Python) -> Result<()> {
    tests.install_keybearer(repository, "dev").await?;
    let packages = "import sysconfig; print(sysconfig.get_path('platlib'))";
    let packages = process::capture(&mut tests.command(&["-c", packages])).await?;
    let mut stubtest = tools.command(&["-m", "mypy.stubtest", "keybearer._native", "--concise"]);
    stubtest.args(["--ignore-disjoint-bases", "--allowlist", EXCEPTIONS]);
    stubtest.env("PYTHONPATH", packages.trim()).current_dir(repository.path("crates/python"));
    process::run(&mut stubtest)
        .await
        .or_hint("check the stub of the native module", "fix keybearer/_native.pyi")
}
