//! Tests for Windows, run in Wine.

use super::{Tally, build, counted};
use crate::process;
use crate::tools::{Cross, Repository, WindowsPython, Wine, wine};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::path::PathBuf;
use tokio::process::Command;

const CLASSES: [&str; 2] = ["WebAuthenticationCoreManager", "WebTokenRequest"];

pub(super) async fn in_wine(repository: &Repository) -> Result<Tally> {
    wine::install().await?;
    let cross = Cross::prepare(repository, wine::TARGET).await?;
    let programs = repository.target().join(wine::TARGET).join("debug");
    wine::place_shim(repository, &programs).await?;
    build(repository, &["keybearer-emulator", "xtask"]).await?;
    let machine = WineMachine {
        repository,
        cross,
        programs,
        servers: Servers::start(repository).await?,
        python: WindowsPython::prepare(repository).await?,
    };
    let bare = machine.without_wam().await?;
    let served = machine.with_fake_wam().await?;
    println!(
        "NOT RUN: real Windows, its Web Account Manager and its dialogues; see docs/windows.md"
    );
    Ok(bare.and(served))
}

struct WineMachine<'a> {
    repository: &'a Repository,
    cross: Cross,
    programs: PathBuf,
    servers: Servers,
    python: WindowsPython,
}

impl WineMachine<'_> {
    /// Plain Wine has no Web Account Manager, with the same error as a Windows without one.
    async fn without_wam(&self) -> Result<Tally> {
        let prefix = Wine::prepare(self.repository, "bare").await?;
        let mut client = self.tests(&["credential", "wam_absent", "windows_gui"]);
        client.arg("--lib");
        let client = counted(prefix.apply(&mut client), Tally::of_cargo).await?;
        let mut program = self.tests(&["windows_browser"]);
        self.servers.set_environment(self.repository, &mut program);
        let program = counted(prefix.apply(&mut program), Tally::of_cargo).await?;
        self.install_wheel(&prefix).await?;
        let mut python = self.pytest(&prefix, "test_without_wam.py");
        Ok(client.and(program).and(counted(&mut python, Tally::of_pytest).await?))
    }

    /// Wine with the project's fake provider instead of Web Account Manager.
    async fn with_fake_wam(&self) -> Result<Tally> {
        let prefix = Wine::prepare(self.repository, "wam").await?;
        let mut dll = self.cargo(&["build", "--quiet", "--locked"]);
        dll.args(["-p", "keybearer-fake-wam", "--features", "provider"]);
        process::run(prefix.apply(&mut dll)).await?;
        for class in CLASSES {
            let class = format!("Windows.Security.Authentication.Web.Core.{class}");
            prefix.register(&class, &self.programs.join("keybearer_fake_wam.dll")).await?;
        }
        let state = tempfile::tempdir()?;
        let directory = wine::windows_path(state.path());
        let mut test = self.tests(&["wam", "windows_wam"]);
        // One program after the other, because they share the directory of the provider.
        test.env("FAKE_WAM_DIR", &directory);
        let tested = counted(prefix.apply(&mut test), Tally::of_cargo).await?;
        let mut python = self.pytest(&prefix, "test_with_wam.py");
        python.env("FAKE_WAM_DIR", &directory);
        Ok(tested.and(counted(&mut python, Tally::of_pytest).await?))
    }

    async fn install_wheel(&self, prefix: &Wine) -> Result<()> {
        let wheels = tempfile::tempdir()?;
        let Self { repository, cross, python, .. } = self;
        process::run(&mut python.maturin(repository, cross, prefix, wheels.path()))
            .await
            .context("could not build the wheel for Windows")?;
        let wheel = std::fs::read_dir(wheels.path())?.next().context("no wheel was built")??;
        python.install(repository, &wheel.path()).await
    }

    /// Tests of the client and the program, by their names. The packages are always the same: others
    /// would select other features and compile nearly everything again.
    fn tests(&self, names: &[&str]) -> Command {
        let mut command = self.cargo(&["test", "--locked", "--no-fail-fast"]);
        command.args(["-p", "keybearer-client", "-p", "keybearer-cli"]);
        command.args(names.iter().flat_map(|name| ["--test", name]));
        command
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        self.cross.cargo(self.repository, arguments)
    }

    /// The tests of the Python package in this file, in a Python for Windows.
    fn pytest(&self, prefix: &Wine, file: &str) -> Command {
        let mut pytest = self.python.command(prefix);
        pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).arg(file);
        pytest.current_dir(self.repository.path("crates/python/tests_windows"));
        self.servers.set_environment(self.repository, &mut pytest);
        // Credentials use Microsoft's cloud unless a test sets another authority.
        pytest.env_remove("AZURE_AUTHORITY_HOST");
        pytest
    }
}

/// The emulator, which runs outside of Wine; both share the loopback interface.
struct Servers {
    _emulator: tokio::process::Child,
    directory: tempfile::TempDir,
    ready: Ready,
}

#[derive(Deserialize)]
struct Ready {
    authority_host: String,
    blob_endpoint: String,
    tenant: String,
    users: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    upn: String,
    password: String,
}

impl Servers {
    async fn start(repository: &Repository) -> Result<Self> {
        const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);
        let directory = tempfile::tempdir()?;
        let mut emulator = process::command(repository.binary("keybearer-emulator"));
        emulator.args(["serve", "--dir"]).arg(directory.path());
        emulator.stdout(std::process::Stdio::null());
        let emulator = process::spawn(&mut emulator)?;
        let file = directory.path().join("ready.json");
        let ready = tokio::time::timeout(LIMIT, async {
            loop {
                if let Ok(ready) = std::fs::read(&file) {
                    return serde_json::from_slice(&ready);
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        let ready = ready.await.context("the emulator did not start")??;
        Ok(Self { _emulator: emulator, directory, ready })
    }

    /// Sets the addresses of the emulator and the user for programs in Wine. The browser is a program
    /// outside of Wine, which Wine can start.
    fn set_environment(&self, repository: &Repository, command: &mut Command) {
        let authority = &self.ready.authority_host;
        let host = authority.trim_start_matches("https://");
        let ca = self.directory.path().join("ca.pem");
        let browser = wine::windows_path(&repository.binary("xtask"));
        command.env("AZURE_AUTHORITY_HOST", authority).env("TEST_AUTHORITY", authority);
        command.env("TEST_TENANT", &self.ready.tenant);
        command.env("TEST_BLOB_ENDPOINT", &self.ready.blob_endpoint);
        command.env("KEYBEARER_TRUSTED_AUTHORITY_HOSTS", host);
        // Wine understands Unix paths too; cargo and the browser understand no others.
        command.env("SSL_CERT_FILE", &ca).env_remove("SSL_CERT_DIR");
        command.env("REQUESTS_CA_BUNDLE", ca);
        command.env("BROWSER", format!("{browser} browse"));
        if let Some(user) = self.ready.users.first() {
            command.env("KEYBEARER_BROWSE_USER", &user.upn);
            command.env("KEYBEARER_BROWSE_PASSWORD", &user.password);
        }
    }
}
