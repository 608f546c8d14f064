//! The broker on a private session bus, run by the real `dbus-daemon`.

use keybearer_emulator::{Home, SessionBus, eventually};
use rustix::process::Signal;
use zbus::connection::Builder;

use crate::home::{broker_status, home};

const NAME: &str = "com.microsoft.identity.broker1";

/// A home with a private session bus, which starts nothing.
fn home_with_bus() -> (Home, SessionBus) {
    let home = home();
    let bus = SessionBus::start(&home, &home.at("services"));
    (joined(home, &bus), bus)
}

/// A bus that starts the broker installed in this home.
pub(crate) fn activating_bus(home: &Home) -> SessionBus {
    SessionBus::start(home, &home.at(".local/share/dbus-1/services"))
}

/// The home whose programs use this bus.
pub(crate) fn joined(home: Home, bus: &SessionBus) -> Home {
    home.with("DBUS_SESSION_BUS_ADDRESS", bus.address())
}

fn state(home: &Home, expected: &str) -> serde_json::Value {
    eventually(expected, || {
        Some(broker_status(home)).filter(|status| status["bus"]["state"] == expected)
    })
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
    let (home, _bus) = home_with_bus();
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
    let (home, bus) = home_with_bus();
    let other = Builder::address(bus.address()).name(NAME).build().await.unwrap();
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
    let (home, bus) = home_with_bus();
    let _broker = home.start_broker("");
    state(&home, "owned");
    drop(bus);
    state(&home, "lost");
    assert_eq!(home.run("accounts --output json").stdout, b"[]\n");
}

#[tokio::test]
async fn installing_beside_a_broker_that_runs_is_refused_and_ours_is_no_hindrance() {
    let (home, bus) = home_with_bus();
    let system = home.at("system").display().to_string();
    let home = home.with("XDG_DATA_DIRS", &system);
    let other = Builder::address(bus.address()).name(NAME).build().await.unwrap();
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
