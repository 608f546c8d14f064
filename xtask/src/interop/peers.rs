//! Tests of Microsoft's packages, against Keybearer's credential.

use super::packages::download;
use crate::test::{Tally, build, counted};
use crate::tools::{Python, Repository};
use anyhow::Result;

/// Extracts the tests from the source archives and runs those that apply.
pub(crate) async fn tests(repository: &Repository) -> Result<Tally> {
    super::install_what_is_missing(&[super::BUS], &[]).await?;
    let directory = repository.path("interop/peers");
    super::check_python("azure-identity").await?;
    let requirements = directory.join("requirements.txt");
    let python = Python::prepare(repository, "interop-peers", &requirements).await?;
    // pip runs the build script of an archive to find its name, so its dependencies are pinned too.
    let options = ["--no-build-isolation", "--no-binary", "azure-identity,azure-identity-broker"];
    let archives = download(&python, ("sdists", &directory.join("sdists.txt")), &options).await?;
    python.install_keybearer(repository, "dev").await?;
    build(repository, &["keybearer-cli", "keybearer-emulator"]).await?;
    let mut pytest =
        python.command(&["-m", "pytest", "-q", "-p", "harness", "-p", "no:cacheprovider"]);
    pytest.current_dir(&directory).env("PYTHONPATH", &directory);
    pytest.env("KEYBEARER_PROGRAMS", repository.binaries()).env("KEYBEARER_SDISTS", archives);
    counted(&mut pytest, Tally::of_pytest).await
}
