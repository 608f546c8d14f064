//! A session bus for a test.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails at once")]

use std::path::Path;

use super::home::Home;
use super::program::Running;

/// A private session bus, run by the real `dbus-daemon` in a person's home. It ends when this is
/// dropped. No keyring of the machine is found on it.
#[derive(Debug)]
pub struct SessionBus {
    address: String,
    _daemon: Running,
}

impl SessionBus {
    /// Starts a bus that can start the services described in this directory, in the environment
    /// of the home. The directory need not exist yet.
    ///
    /// # Panics
    /// If `dbus-daemon` is not installed or does not start.
    #[must_use]
    pub fn start(home: &Home, services: &Path) -> Self {
        let config = home.at("bus.conf");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
             "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig>
              <type>session</type>
              <listen>unix:path={socket}</listen>
              <servicedir>{services}</servicedir>
              <policy context="default">
                <allow send_destination="*" eavesdrop="true"/>
                <allow eavesdrop="true"/><allow own="*"/>
              </policy>
            </busconfig>"#,
            socket = home.at("run/bus").display(),
            services = services.display(),
        );
        std::fs::write(&config, text).unwrap();
        let mut daemon = home.command("dbus-daemon");
        // The home's own path may lead to no programs.
        daemon.env("PATH", "/usr/bin:/bin");
        daemon.arg(format!("--config-file={}", config.display()));
        let daemon = Running::start(daemon.args(["--nofork", "--print-address"]));
        Self { address: daemon.line(), _daemon: daemon }
    }

    /// Where it listens, for `DBUS_SESSION_BUS_ADDRESS`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}
