//! The broker on a private session bus, run by the real `dbus-daemon`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::home::{Home, eventually};
use rustix::process::Signal;
use tempfile::TempDir;
use zbus::connection::Builder;

const NAME: &str = "com.microsoft.identity.broker1";

/// A session bus. No keyring of the machine's is found on it.
pub(crate) struct Bus {
    daemon: Child,
    pub(crate) address: String,
    _directory: TempDir,
}

impl Bus {
    /// One that starts nothing.
    fn start() -> Self {
        Self::start_by(&mut Command::new("dbus-daemon"), "")
    }

    /// One that starts what is installed in this home directory, in its environment.
    pub(crate) fn start_in(home: &Home) -> Self {
        let mut daemon = Command::new("dbus-daemon");
        let environment = home.program([""; 0]);
        daemon.env_clear().envs(environment.get_envs().filter_map(|(k, v)| Some((k, v?))));
        let services = home.at(".local/share/dbus-1/services").display().to_string();
        Self::start_by(&mut daemon, &format!("<servicedir>{services}</servicedir>"))
    }

    fn start_by(daemon: &mut Command, services: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let config = directory.path().join("bus.conf");
        let socket = directory.path().join("bus");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
             "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig>
              <type>session</type>
              <listen>unix:path={}</listen>
              {services}
              <policy context="default">
                <allow send_destination="*" eavesdrop="true"/>
                <allow eavesdrop="true"/><allow own="*"/>
              </policy>
            </busconfig>"#,
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut daemon = daemon
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon is needed for this test: install it (Debian: dbus-daemon)");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { daemon, address: address.trim().to_owned(), _directory: directory }
    }

    fn home(&self) -> Home {
        self.joined(Home::new())
    }

    /// A home directory whose programs know this bus.
    pub(crate) fn joined(&self, home: Home) -> Home {
        home.with("DBUS_SESSION_BUS_ADDRESS", &self.address)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

fn state(home: &Home, expected: &str) -> serde_json::Value {
    eventually(expected, || Some(home.status()).filter(|status| status["bus"]["state"] == expected))
}

fn finding<'a>(doctor: &'a serde_json::Value, about: &str) -> &'a serde_json::Value {
    let mut findings = doctor["findings"].as_array().unwrap().iter();
    findings.find(|finding| finding["about"] == about).unwrap()
}

fn doctor(home: &Home) -> serde_json::Value {
    serde_json::from_slice(&home.run("doctor --output json").stdout).unwrap()
}

#[test]
fn the_broker_takes_the_name_that_nobody_has_and_gives_it_back() {
    let bus = Bus::start();
    let home = bus.home();
    for _ in 0..2 {
        let broker = home.start_broker("");
        state(&home, "owned");
        let doctor = doctor(&home);
        let finding = finding(&doctor, "session bus");
        assert_eq!((&doctor["ok"], &finding["level"]), (&true.into(), &"ok".into()), "{finding}");
        broker.signal(Signal::TERM);
        let (status, log) = broker.end();
        assert!(status.success(), "{log}");
    }
}

#[tokio::test]
async fn another_program_keeps_the_name_and_ours_serves_its_socket() {
    let bus = Bus::start();
    let other = Builder::address(bus.address.as_str()).name(NAME).build().await.unwrap();
    let home = bus.home();
    let broker = home.start_broker("");
    let status = state(&home, "taken");
    assert_eq!(status["bus"]["pid"], std::process::id());
    assert_eq!(home.run("accounts --output json").stdout, b"[]\n");
    let words = String::from_utf8(home.run("broker status").stdout).unwrap();
    assert!(words.contains(&format!("has the name {NAME}, and keeps it")), "{words}");
    let doctor = doctor(&home);
    let finding = finding(&doctor, "session bus");
    assert!(finding["found"].as_str().unwrap().contains(&std::process::id().to_string()));
    broker.signal(Signal::TERM);
    let (_, log) = broker.end();
    assert!(log.contains("serving on the socket only"), "{log}");
    drop(other);
}

#[test]
fn a_bus_that_ends_leaves_the_socket_as_it_is() {
    let bus = Bus::start();
    let home = bus.home();
    let _broker = home.start_broker("");
    state(&home, "owned");
    drop(bus);
    state(&home, "lost");
    assert_eq!(home.run("accounts --output json").stdout, b"[]\n");
}

#[tokio::test]
async fn installing_beside_a_broker_that_runs_is_refused_and_ours_is_no_hindrance() {
    let bus = Bus::start();
    let home = bus.home();
    let system = home.at("system").display().to_string();
    let home = home.with("XDG_DATA_DIRS", &system);
    let other = Builder::address(bus.address.as_str()).name(NAME).build().await.unwrap();
    let output = home.run("broker install");
    let said = crate::home::complaint(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("(process {}) has the name", std::process::id())), "{said}");
    other.close().await.unwrap();

    let _broker = home.start_broker("");
    state(&home, "owned");
    let output = home.run("broker install");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("\nthe session bus does not read that directory: "), "{said}");
}
