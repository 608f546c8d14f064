//! Tests for Windows, run in Wine.

use super::{Tally, build, counted};
use crate::process;
use crate::tools::{Cross, Repository, WindowsPython, Wine, wine};
use anyhow::{Context as _, Result};
use keybearer_emulator::{Laboratory, Ready};
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
        laboratory: Laboratory::start_program(&repository.binary("keybearer-emulator"))?,
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
    laboratory: Laboratory,
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
        set_environment(self.laboratory.ready(), self.repository, &mut program);
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
        set_environment(self.laboratory.ready(), self.repository, &mut pytest);
        // Credentials use Microsoft's cloud unless a test sets another authority.
        pytest.env_remove("AZURE_AUTHORITY_HOST");
        pytest
    }
}

/// Sets the addresses of the emulator and the user for programs in Wine. The emulator and the browser
/// run outside of Wine, which shares the loopback interface and can start the browser.
fn set_environment(emulator: &Ready, repository: &Repository, command: &mut Command) {
    // Wine understands Unix paths too; cargo and the browser understand no others.
    command.envs(emulator.variables()).env_remove("SSL_CERT_DIR");
    command.env("TEST_AUTHORITY", &emulator.authority_host);
    command.env("TEST_TENANT", &emulator.tenant);
    command.env("TEST_BLOB_ENDPOINT", &emulator.blob_endpoint);
    let browser = wine::windows_path(&repository.binary("xtask"));
    command.env("BROWSER", format!("{browser} browse"));
    if let Some(user) = emulator.users.first() {
        command.env("KEYBEARER_BROWSE_USER", &user.upn);
        command.env("KEYBEARER_BROWSE_PASSWORD", &user.password);
    }
}
