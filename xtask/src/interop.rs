//! `interop`: other vendors' unmodified clients with Keybearer's broker on a private session bus, and
//! programs written for their credentials with Keybearer's.

pub(crate) mod drop_in;
mod packages;
pub(crate) mod peers;

use crate::failure::MissingTool;
use crate::process::{self, unless_interrupted};
use crate::test::{Tally, build, counted};
use crate::tools::{Python, Repository, install_debian, is_installed};
use anyhow::{Result, bail};
use std::process::Stdio;

pub(crate) async fn run() -> Result<()> {
    let repository = Repository::here();
    let tally = unless_interrupted(async {
        let broker = clients(&repository).await?;
        let drop_in = drop_in::tests(&repository).await?;
        let peers = peers::tests(&repository).await?;
        let azure_cli = azure_cli(&repository).await?;
        Ok(broker.and(drop_in).and(peers).and(azure_cli))
    });
    let tally = tally.await?;
    if tally.failed > 0 {
        bail!("{} of the clients' tests failed", tally.failed);
    }
    Ok(())
}

/// Runs the tests of each client. At the end they print each client with its version.
pub(crate) async fn clients(repository: &Repository) -> Result<Tally> {
    install_for_microsofts_runtime().await?;
    let directory = repository.path("interop/broker");
    let python =
        Python::prepare(repository, "interop-broker", &directory.join("requirements.txt")).await?;
    build(repository, &["keybearer-cli", "keybearer-emulator"]).await?;
    let mut pytest = python.command(&["-m", "pytest", "-q"]);
    pytest.current_dir(directory).env("KEYBEARER_PROGRAMS", repository.binaries());
    counted(&mut pytest, Tally::of_pytest).await
}

/// Runs Azure CLI with Keybearer's runtime for MSAL.
pub(crate) async fn azure_cli(repository: &Repository) -> Result<Tally> {
    check_python("Azure CLI").await?;
    install_what_is_missing(&[BUS], &[]).await?;
    let directory = repository.path("interop/azure-cli");
    let python =
        Python::prepare(repository, "interop-azure-cli", &directory.join("requirements.txt"))
            .await?;
    python.install_keybearer(repository, "dev").await?;
    build(repository, &["keybearer-cli", "keybearer-emulator"]).await?;
    let mut pytest = python.command(&["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    pytest.current_dir(directory).env("KEYBEARER_PROGRAMS", repository.binaries());
    counted(&mut pytest, Tally::of_pytest).await
}

/// Checks the version of Python: the tested releases of Microsoft's packages need 3.10.
async fn check_python(package: &str) -> Result<()> {
    let mut recent = process::command("python3");
    recent.args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]);
    if recent.status().await.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let advice = format!("the release of {package} that is tested needs Python 3.10 or newer");
    Err(MissingTool { advice }.into())
}

/// Programs that the tests start, and their Debian packages.
const PROGRAMS: &[(&str, &str)] = &[
    BUS,
    ("busctl", "systemd"),
    ("dbus-monitor", "dbus-bin"),
    ("gdbus", "libglib2.0-bin"),
    ("gnome-keyring-daemon", "gnome-keyring"),
];
const BUS: (&str, &str) = ("dbus-daemon", "dbus");
/// Libraries that Microsoft's runtime loads.
const LIBRARIES: &[(&str, &str)] =
    &[("libwebkit2gtk-4.1.so.0", "libwebkit2gtk-4.1-0"), ("libsecret-1.so.0", "libsecret-1-0")];

/// Installs what Microsoft's runtime and the test machines of `interop/broker` need.
pub(crate) async fn install_for_microsofts_runtime() -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let advice = "Microsoft publishes its runtime for x86-64 Linux; run this there";
        return Err(MissingTool { advice: advice.to_owned() }.into());
    }
    install_what_is_missing(PROGRAMS, LIBRARIES).await
}

async fn install_what_is_missing(
    programs: &[(&str, &str)],
    libraries: &[(&str, &str)],
) -> Result<()> {
    let mut missing = Vec::new();
    for (program, package) in programs {
        if !is_installed(program).await {
            missing.push(*package);
        }
    }
    for (library, package) in libraries {
        let load = format!("import ctypes; ctypes.CDLL('{library}')");
        let mut python = process::command("python3");
        python.args(["-c", &load]).stderr(Stdio::null());
        if !python.status().await.is_ok_and(|status| status.success()) {
            missing.push(*package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    let advice = format!(
        "other vendors' clients need {packages} (names of Debian and Ubuntu packages); install them"
    );
    install_debian(&packages, &advice).await
}
