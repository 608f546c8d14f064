//! The machine of a demo: private directories, servers and environment, removed at the end.

use crate::process;
use crate::services::Services;
use crate::tools::{Python, Repository};
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

/// The person who signs in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Person {
    /// `xtask browse` fills in the forms.
    Simulated,
    /// A real person, in their browser.
    Real,
}

/// How long the broker may take to stop.
const BROKER_GRACE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct DemoMachine {
    pub(crate) repository: Repository,
    pub(crate) services: Services,
    pub(crate) person: Person,
    python: Python,
    environment: Vec<(OsString, OsString)>,
    directory: TempDir,
}

impl DemoMachine {
    pub(crate) fn new(repository: Repository, python: Python, person: Person) -> Result<Self> {
        let directory = private_directory().context("could not create a private directory")?;
        let mut machine = Self {
            repository,
            services: Services::default(),
            person,
            python,
            environment: Vec::new(),
            directory,
        };
        for (variable, name) in PRIVATE {
            let path = machine.path(name);
            make_private(&path).with_context(|| format!("could not create {}", path.display()))?;
            machine.set(variable, path);
        }
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
        self.directory.path().join(name)
    }

    /// Sets a variable for all programs that are started later.
    pub(crate) fn set(&mut self, variable: &str, value: impl Into<OsString>) {
        self.environment.push((variable.into(), value.into()));
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
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Writes the script for $BROWSER, which programs split at spaces and colons. A real browser gets
    /// the original environment of the person.
    fn write_browser(&self) -> Result<PathBuf> {
        let mut script = String::from("#!/bin/sh\n");
        if self.person == Person::Real {
            for (variable, _) in PRIVATE.iter().chain(&[("DBUS_SESSION_BUS_ADDRESS", "")]) {
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
        if self.path("run/keybearer/broker.sock").exists() {
            self.stop_broker().await;
            stopped.push("broker");
        }
        stopped.extend(self.services.stop().await);
        let directory = self.directory.path().display().to_string();
        if let Err(error) = self.directory.close() {
            eprintln!("could not remove {directory}: {error}");
        }
        if !stopped.is_empty() {
            println!("stopped: {}", stopped.join(", "));
        }
    }

    /// Stops the broker, which a client may have started, so that it is not a child of this process.
    async fn stop_broker(&self) {
        let mut keybearer = self.program("keybearer");
        keybearer.args(["broker", "stop"]).stdout(std::process::Stdio::null());
        if !matches!(timeout(BROKER_GRACE, process::run(&mut keybearer)).await, Ok(Ok(()))) {
            end_server_of(&self.path("run/keybearer/broker.sock"));
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

/// Private directories, and the variables in which programs find them.
const PRIVATE: &[(&str, &str)] = &[
    ("HOME", "home"),
    ("XDG_CACHE_HOME", "cache"),
    ("XDG_CONFIG_HOME", "config"),
    ("XDG_DATA_HOME", "data"),
    ("XDG_RUNTIME_DIR", "run"),
    ("XDG_STATE_HOME", "state"),
];

/// Variables of the person's environment that would change the result.
const NOT_INHERITED: &[&str] = &["CURL_CA_BUNDLE", "DBUS_SESSION_BUS_ADDRESS", "SSL_CERT_DIR"];

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(unix)]
mod unix {
    use std::fs::{DirBuilder, Permissions};
    use std::io::Result;
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use tempfile::TempDir;

    pub(super) fn private_directory() -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix("keybearer-demo-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
    }

    pub(super) fn make_private(path: &Path) -> Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    pub(super) fn make_executable(path: &Path) -> Result<()> {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))
    }

    /// Kills the process that serves the socket.
    #[cfg(target_os = "linux")]
    pub(super) fn end_server_of(socket: &Path) {
        let Ok(stream) = UnixStream::connect(socket) else { return };
        let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream) else { return };
        eprintln!("the broker did not stop; killing process {}", peer.pid.as_raw_nonzero());
        if let Err(error) = rustix::process::kill_process(peer.pid, rustix::process::Signal::KILL) {
            eprintln!("could not kill the broker: {error}");
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn end_server_of(socket: &Path) {
        if UnixStream::connect(socket).is_ok() {
            eprintln!("the broker is still running; kill the process `keybearer broker run`");
        }
    }
}

#[cfg(unix)]
use unix::{end_server_of, make_executable, make_private, private_directory};

#[cfg(not(unix))]
mod elsewhere {
    use std::io::{Error, ErrorKind, Result};
    use std::path::Path;
    use tempfile::TempDir;

    pub(super) fn private_directory() -> Result<TempDir> {
        Err(Error::from(ErrorKind::Unsupported))
    }

    pub(super) fn make_private(_: &Path) -> Result<()> {
        Err(Error::from(ErrorKind::Unsupported))
    }

    pub(super) fn make_executable(_: &Path) -> Result<()> {
        Err(Error::from(ErrorKind::Unsupported))
    }

    pub(super) fn end_server_of(_: &Path) {}
}

#[cfg(not(unix))]
use elsewhere::{end_server_of, make_executable, make_private, private_directory};
