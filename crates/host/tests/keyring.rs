//! The keyring, against a real gnome-keyring-daemon on a private bus.
//!
//! Behind the feature `keyring-tests`, because it needs `gnome-keyring-daemon` and
//! `dbus-run-session`. Each case runs in a child process, inside its own bus and home directory.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keybearer_core::{ErrorKind, MasterKey, Missing, Result};
use keybearer_host::{Environment, Host, KeyPlace, Keyring, Paths, SystemRandom, private_dir};

const STATE: &str = "KEYBEARER_TEST_STATE";

/// Runs `test` of this program on a private bus, after the shell commands `prepare`.
fn on_a_private_bus(prepare: &str, test: &str, home: &Path) {
    let program = std::env::current_exe().unwrap();
    let script = format!("{prepare}\nexec '{}' --exact {test} --nocapture", program.display());
    let runtime = home.join("run");
    std::fs::create_dir_all(&runtime).unwrap();
    let output = Command::new("dbus-run-session")
        .args(["--", "sh", "-ec", &script])
        .envs([("HOME", home), ("XDG_RUNTIME_DIR", &runtime), (STATE, &home.join("state"))])
        .env("XDG_DATA_HOME", home.join("data"))
        .stdin(Stdio::null())
        .output()
        .expect("dbus-run-session is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "is gnome-keyring-daemon installed?\n{text}\n{errors}");
}

struct Machine {
    host: Host,
    state_dir: PathBuf,
    keyring: Keyring,
}

impl Machine {
    /// `None` outside of the child process.
    fn of_child() -> Option<Self> {
        let state_dir = PathBuf::from(std::env::var_os(STATE)?);
        let environment = Environment::current();
        let paths = Paths { state_dir: state_dir.clone(), ..Paths::current(&environment).unwrap() };
        let host = Host::durable(&paths, &environment);
        Some(Self { host, state_dir, keyring: Keyring::of_session() })
    }

    async fn key(&self) -> Result<MasterKey> {
        self.host.effects().keys.master_key().await
    }
}

const UNLOCK: &str =
    "printf secret | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1";
/// Starts the daemon without a password: an existing keyring stays locked.
const LOCKED: &str = "gnome-keyring-daemon --start --components=secrets >/dev/null 2>&1";

#[test]
fn the_key_survives_in_the_keyring_and_a_locked_keyring_is_told_within_a_second() {
    let temporary = tempfile::tempdir().unwrap();
    on_a_private_bus(UNLOCK, "in_an_unlocked_keyring", temporary.path());
    on_a_private_bus(UNLOCK, "in_an_unlocked_keyring", temporary.path());
    on_a_private_bus(LOCKED, "in_a_locked_keyring", temporary.path());
    on_a_private_bus(UNLOCK, "in_an_unlocked_keyring", temporary.path());
    assert_eq!(std::fs::read_dir(temporary.path().join("state")).unwrap().count(), 2);
}

#[test]
fn without_a_secret_service_the_key_is_kept_in_a_file() {
    let temporary = tempfile::tempdir().unwrap();
    let no_service = "export DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent/bus";
    on_a_private_bus(no_service, "without_a_keyring", temporary.path());
}

/// Run by the tests above in a child process, like the next two.
#[tokio::test]
async fn in_an_unlocked_keyring() {
    let Some(machine) = Machine::of_child() else { return };
    let key = machine.key().await.unwrap();
    assert_eq!(machine.host.key_status().await.place, "keyring");
    let dir = private_dir(&machine.state_dir).unwrap();
    assert!(machine.keyring.read(&dir, "another store").await.unwrap().is_none());
    // The first run notes a fingerprint of the key, later ones compare.
    let note = machine.state_dir.join("note");
    let sum: u32 = key.expose().iter().zip(1..).map(|(byte, n)| u32::from(*byte) * n).sum();
    match std::fs::read_to_string(&note) {
        Ok(text) => assert_eq!(text, sum.to_string()),
        Err(_) => std::fs::write(&note, sum.to_string()).unwrap(),
    }
}

#[tokio::test]
async fn in_a_locked_keyring() {
    let Some(machine) = Machine::of_child() else { return };
    let started = Instant::now();
    let error = machine.key().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable(Missing::Key));
    assert!(error.message().contains("locked"), "{error:?}");
    let dir = private_dir(&machine.state_dir).unwrap();
    let refused = machine.keyring.create(&dir, &SystemRandom).await.unwrap_err();
    assert!(refused.message().contains("locked"), "{refused:?}");
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(machine.host.key_status().await.place, "keyring", "locked is not damaged");
}

#[tokio::test]
async fn without_a_keyring() {
    let Some(machine) = Machine::of_child() else { return };
    machine.key().await.unwrap();
    assert_eq!(machine.host.key_status().await.place, "file");
}
