use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// A private message bus; dropping the value ends it.
#[derive(Debug)]
pub struct PrivateBus {
    daemon: Child,
    address: String,
}

impl PrivateBus {
    /// Starts `dbus-daemon`.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start() -> Result<Self> {
        let mut daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It warns about limits of containers that do not matter here.
            .stderr(Stdio::null())
            .spawn()
            .context("could not start dbus-daemon (Debian: package dbus-daemon)")?;
        let mut address = String::new();
        let stdout = daemon.stdout.take().context("the output of dbus-daemon is not a pipe")?;
        BufReader::new(stdout).read_line(&mut address)?;
        let bus = Self { daemon, address: address.trim().to_owned() };
        ensure!(!bus.address.is_empty(), "dbus-daemon ended at once");
        Ok(bus)
    }

    /// The address of the bus.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
