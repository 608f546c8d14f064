//! The machine of a demo: private directories, servers and environment, removed at the end.

use crate::process;
use crate::services::Services;
use crate::tools::{Python, Repository};
use anyhow::{Context as _, Result};
use keybearer_emulator::Home;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The person who signs in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Person {
    /// `xtask browse` fills in the forms.
    Simulated,
    /// A real person, in their browser.
    Real,
}

#[derive(Debug)]
pub(crate) struct DemoMachine {
    pub(crate) repository: Repository,
    pub(crate) services: Services,
    pub(crate) person: Person,
    python: Python,
    home: Home,
}

impl DemoMachine {
    pub(crate) fn new(repository: Repository, python: Python, person: Person) -> Result<Self> {
        let home = Home::new()?.with_keybearer(repository.binary("keybearer"));
        let mut machine = Self { repository, services: Services::default(), person, python, home };
        let mut path = machine.repository.binaries().into_os_string();
        if let Some(inherited) = std::env::var_os("PATH") {
            path.push(":");
            path.push(inherited);
        }
        machine.set("PATH", path);
        let browser = machine.write_browser().context("could not write the browser script")?;
        machine.set("BROWSER", browser);
        Ok(machine)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.at(name)
    }

    /// Sets a variable for all programs that are started later.
    pub(crate) fn set(&mut self, variable: &str, value: impl Into<OsString>) {
        self.home.set(variable, value);
    }

    /// A program of the workspace, in this environment.
    pub(crate) fn program(&self, name: &str) -> Command {
        self.with_environment(process::command(self.repository.binary(name)))
    }

    /// The Python interpreter that has `keybearer`, in this environment.
    pub(crate) fn python(&self) -> Command {
        self.with_environment(self.python.command(&[]))
    }

    /// Any program, in this environment.
    pub(crate) fn with_environment(&self, mut command: Command) -> Command {
        for variable in NOT_INHERITED {
            command.env_remove(variable);
        }
        command.envs(self.home.variables());
        command
    }

    /// Writes the script for $BROWSER, which programs split at spaces and colons. A real browser gets
    /// the original environment of the person.
    fn write_browser(&self) -> Result<PathBuf> {
        let mut script = String::from("#!/bin/sh\n");
        if self.person == Person::Real {
            for variable in ["HOME", "XDG_RUNTIME_DIR"].iter().chain(NOT_INHERITED) {
                script += &match std::env::var(variable) {
                    Ok(value) => format!("export {variable}={}\n", quoted(&value)),
                    Err(_) => format!("unset {variable}\n"),
                };
            }
            let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
            let browser = std::env::var("BROWSER").unwrap_or_else(|_| opener.to_owned());
            script += &format!("exec {} \"$1\"\n", quoted(&browser));
        } else {
            // Not `current_exe`, because a build may have replaced that file.
            let xtask = self.repository.binary("xtask");
            script += &format!(
                "exec {} browse \"$1\" 2>{}\n",
                quoted(&xtask.to_string_lossy()),
                quoted(&self.path("browser.log").to_string_lossy())
            );
        }
        let path = self.path("browser");
        std::fs::write(&path, script)?;
        make_executable(&path)?;
        Ok(path)
    }

    /// Stops the servers, the broker first, and prints which ones.
    pub(crate) async fn stop(mut self) {
        let mut stopped = Vec::new();
        if tokio::task::block_in_place(|| self.home.stop_broker()) {
            stopped.push("broker");
        }
        stopped.extend(self.services.stop().await);
        if !stopped.is_empty() {
            println!("stopped: {}", stopped.join(", "));
        }
    }

    /// Prints the ends of the logs.
    pub(crate) fn show_logs(&self) {
        for name in ["browser.log", "broker.log", "emulator.log", "azurite.log", "bus.log"] {
            let log = std::fs::read_to_string(self.path(name)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(10)..] {
                eprintln!("{name}: {line}");
            }
        }
    }
}

/// Variables of the person's environment that would change the result. Without those of XDG,
/// programs use the directories below `HOME`.
const NOT_INHERITED: &[&str] = &[
    "CURL_CA_BUNDLE",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSL_CERT_DIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
];

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
