//! The distribution that replaces azure-identity-broker.

use super::packages::download;
use crate::test::{Tally, build, counted};
use crate::tools::{Python, Repository, build_wheels};
use anyhow::Result;

/// Runs programs written for Microsoft's package with the replacement, and tests both in one
/// environment.
pub(crate) async fn tests(repository: &Repository) -> Result<Tally> {
    super::install_what_is_missing(&[super::BUS], &[]).await?;
    let directory = repository.path("interop/dropin");
    let python =
        Python::prepare(repository, "interop-dropin", &directory.join("requirements.txt")).await?;
    let pins = directory.join("packages.txt");
    let packages = download(&python, ("packages", &pins), &[]).await?;
    let wheels = build_wheels(repository, &["crates/python", "crates/cli"], "dev").await?;
    build(repository, &["keybearer-cli", "keybearer-emulator"]).await?;
    let mut pytest = python.command(&["-m", "pytest", "-q"]);
    pytest.current_dir(directory).env("KEYBEARER_PROGRAMS", repository.binaries());
    pytest.env("KEYBEARER_PACKAGES", packages).env("KEYBEARER_WHEELS", wheels);
    counted(&mut pytest, Tally::of_pytest).await
}
