//! What runs on Windows, run in Wine.

use super::{Tally, build, counted};
use crate::process;
use crate::tools::{Cross, Repository, Wine, wine};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::path::Path;
use tokio::process::Command;

const CLASSES: [&str; 2] = ["WebAuthenticationCoreManager", "WebTokenRequest"];

pub(super) async fn in_wine(repository: &Repository) -> Result<Tally> {
    wine::install().await?;
    let cross = Cross::prepare(repository, wine::TARGET).await?;
    let programs = repository.target().join(wine::TARGET).join("debug");
    wine::place_shim(repository, &programs).await?;
    let bare = without_wam(repository, &cross).await?;
    let served = with_fake_wam(repository, &cross, &programs).await?;
    println!(
        "NOT RUN: real Windows, its Web Account Manager and its dialogues; see docs/windows.md"
    );
    Ok(bare.and(served))
}

/// Wine as it is has no Web Account Manager: the same error as a Windows without one.
async fn without_wam(repository: &Repository, cross: &Cross) -> Result<Tally> {
    let prefix = Wine::prepare(repository, "bare").await?;
    let mut client = cross.cargo(repository, &["test", "--locked", "--no-fail-fast"]);
    client.args(["-p", "keybearer-client", "--lib", "--test", "credential"]);
    client.args(["--test", "wam_absent", "--test", "windows_gui"]);
    let client = counted(prefix.apply(&mut client), Tally::of_cargo).await?;
    build(repository, &["keybearer-emulator", "xtask"]).await?;
    let servers = Servers::start(repository).await?;
    let mut program = cross.cargo(repository, &["test", "--locked", "--no-fail-fast"]);
    program.args(["-p", "keybearer-cli", "--test", "windows_browser"]);
    servers.describe(repository, &mut program);
    Ok(client.and(counted(prefix.apply(&mut program), Tally::of_cargo).await?))
}

/// Wine with a provider of ours in the place of Web Account Manager.
async fn with_fake_wam(repository: &Repository, cross: &Cross, programs: &Path) -> Result<Tally> {
    let prefix = Wine::prepare(repository, "wam").await?;
    let mut dll = cross.cargo(repository, &["build", "--quiet", "--locked"]);
    dll.args(["-p", "keybearer-fake-wam", "--features", "provider"]);
    process::run(prefix.apply(&mut dll)).await?;
    for class in CLASSES {
        let class = format!("Windows.Security.Authentication.Web.Core.{class}");
        prefix.register(&class, &programs.join("keybearer_fake_wam.dll")).await?;
    }
    let stage = tempfile::tempdir()?;
    let mut test = cross.cargo(repository, &["test", "--locked", "--no-fail-fast"]);
    test.args(["-p", "keybearer-client", "-p", "keybearer-cli"]);
    test.args(["--test", "wam", "--test", "windows_wam"]);
    // One program after the other: they share the provider's directory.
    test.env("FAKE_WAM_DIR", wine::windows_path(stage.path()));
    counted(prefix.apply(&mut test), Tally::of_cargo).await
}

/// The emulator, on this side of Wine; loopback is the same on both.
struct Servers {
    _emulator: tokio::process::Child,
    directory: tempfile::TempDir,
    ready: Ready,
}

#[derive(Deserialize)]
struct Ready {
    authority_host: String,
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

    /// Tells programs in Wine where the emulator is and who the person is. The browser is a program
    /// of this side, which Wine starts as well.
    fn describe(&self, repository: &Repository, command: &mut Command) {
        let authority = &self.ready.authority_host;
        let host = authority.trim_start_matches("https://");
        let ca = self.directory.path().join("ca.pem");
        let browser = wine::windows_path(&repository.binary("xtask"));
        command.env("AZURE_AUTHORITY_HOST", authority);
        command.env("KEYBEARER_TRUSTED_AUTHORITY_HOSTS", host);
        // Wine understands paths of this side too; cargo and the browser, no others.
        command.env("SSL_CERT_FILE", ca).env_remove("SSL_CERT_DIR");
        command.env("BROWSER", format!("{browser} browse"));
        if let Some(user) = self.ready.users.first() {
            command.env("KEYBEARER_BROWSE_USER", &user.upn);
            command.env("KEYBEARER_BROWSE_PASSWORD", &user.password);
        }
    }
}
