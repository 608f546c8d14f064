//! The servers of the demo: a session bus, the emulator, Azurite.

use super::machine::DemoMachine;
use crate::process;
use crate::tools::{is_installed, node_packages, npx};
use anyhow::{Context as _, Result};
use keybearer_emulator::Ready;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use tokio::net::TcpStream;
use tokio::process::Command;

/// Starts a private session bus if `dbus-daemon` is installed; the broker's socket works without one.
pub(crate) async fn start_session_bus(machine: &mut DemoMachine) -> Result<()> {
    if !is_installed("dbus-daemon").await {
        println!("no dbus-daemon on this machine: the broker serves on its socket only");
        return Ok(());
    }
    let socket = machine.path("run/bus");
    let address = format!("unix:path={}", socket.display());
    let mut bus = process::command("dbus-daemon");
    bus.args(["--session", "--nofork", "--nopidfile", "--address"]).arg(&address);
    let log = machine.path("bus.log");
    machine
        .services
        .start("session bus", &mut bus, &log, async || socket.exists().then_some(()))
        .await?;
    machine.set("DBUS_SESSION_BUS_ADDRESS", address);
    Ok(())
}

/// Starts the emulator and makes every program of the machine trust it.
pub(crate) async fn start_emulator(machine: &mut DemoMachine) -> Result<Ready> {
    let directory = machine.path(EMULATOR);
    let mut command = machine.program("keybearer-emulator");
    command.args(["serve", "--port", "0", "--dir"]).arg(&directory);
    let log = machine.path("emulator.log");
    let read = async || Ready::read(&directory);
    let emulator = machine.services.start("emulator", &mut command, &log, read).await?;
    let user = emulator.users.first().context("the emulator has no users")?;
    for (variable, value) in emulator.variables() {
        machine.set(variable, value);
    }
    machine.set("AZURE_CLIENT_ID", DEVELOPMENT_APP);
    machine.set("AZURE_TENANT_ID", &emulator.tenant);
    machine.set("KEYBEARER_BROWSE_USER", &user.upn);
    machine.set("KEYBEARER_BROWSE_PASSWORD", &user.password);
    Ok(emulator)
}

/// The directory of the emulator and of its certificates.
const EMULATOR: &str = "emulator";

/// The default app of credentials; the emulator has it registered.
const DEVELOPMENT_APP: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// Starts Azurite with the emulator's certificate and returns the account's URL.
pub(crate) async fn start_azurite(machine: &mut DemoMachine) -> Result<String> {
    let package = machine.repository.path("xtask/azurite");
    node_packages(&package).await?;
    // Free now; if another program binds it first, Azurite reports that and the start fails.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut command = azurite(&package, &machine.path(EMULATOR), port);
    let log = machine.path("azurite.log");
    let probe = async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok();
    machine.services.start("Azurite", &mut command, &log, probe).await?;
    // Without a trailing slash, which the Rust client would double.
    Ok(format!("https://127.0.0.1:{port}/devstoreaccount1"))
}

/// `certificates` holds `server.pem` and `server.key`.
fn azurite(package: &Path, certificates: &Path, port: u16) -> Command {
    let mut node = npx(package, "azurite/dist/src/blob/main.js");
    node.args([
        "--oauth",
        "basic",
        "--inMemoryPersistence",
        "--skipApiVersionCheck",
        "--disableTelemetry",
    ]);
    node.args(["--blobHost", "127.0.0.1", "--blobPort"]).arg(port.to_string());
    node.arg("--cert")
        .arg(certificates.join("server.pem"))
        .arg("--key")
        .arg(certificates.join("server.key"));
    node.current_dir(certificates);
    node
}
