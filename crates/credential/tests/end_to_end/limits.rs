//! `get_token` returns in time, also if a broker, a provider or a person never answers (invariant I7).

use std::sync::Arc;
use std::time::{Duration, Instant};

use azure_core::credentials::TokenCredential;
use keybearer::{
    Broker, BrokerChoice, ErrorKind, InteractiveBrowserBrokerCredential, credential_error,
};
use keybearer_client::{LocalBroker, LocalBrokerOptions};
use keybearer_emulator::{Home, SessionBus};
use keybearer_host::Environment;
use keybearer_testkit::emulated;
use rustix::process::Signal;
use serde_json::json;

use crate::emulated_machine::{EmulatedMachine, STORAGE};

const LIMIT: Duration = Duration::from_secs(2);
/// How much later than the limit the caller may get its answer.
const GRACE: Duration = Duration::from_millis(200);

/// Directories of a person from whose browser no answer comes, without a session bus.
fn home(machine: &EmulatedMachine) -> Home {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("keybearer");
    assert!(program.exists(), "run `cargo build -p keybearer-cli` first");
    let home = machine.laboratory.home().unwrap().with_keybearer(program);
    let no_programs = home.make_private("bin").unwrap();
    let no_bus = format!("unix:path={}", home.at("no-bus").display());
    home.with("PATH", no_programs)
        .with("DBUS_SESSION_BUS_ADDRESS", no_bus)
        .with("BROWSER", "/bin/true")
}

/// A real session bus, on which a broker is installed that never takes its name.
fn start_bus(home: &mut Home) -> SessionBus {
    let services = home.make_private("services").unwrap();
    std::fs::write(
        services.join("broker.service"),
        "[D-BUS Service]\nName=com.microsoft.identity.broker1\nExec=/bin/sleep 20\n",
    )
    .unwrap();
    let bus = SessionBus::start(home, &services);
    home.set("DBUS_SESSION_BUS_ADDRESS", bus.address());
    bus
}

/// The broker of this home, found as apps find it. Without one, this process trusts the emulator.
fn local_broker(home: &Home, machine: &EmulatedMachine, choice: BrokerChoice) -> Arc<LocalBroker> {
    let options = LocalBrokerOptions {
        choice,
        trusted_authority_hosts: [emulated::authority_host(&machine.laboratory).unwrap()].into(),
        http: Some(emulated::http(&machine.laboratory)),
        ..LocalBrokerOptions::default()
    };
    Arc::new(LocalBroker::new(Environment::from_pairs(home.variables()), options))
}

/// Requests a token, which never arrives.
async fn in_vain(machine: &EmulatedMachine, broker: Arc<dyn Broker>) {
    let mut options = machine.options();
    options.timeout = Some(LIMIT);
    let credential = InteractiveBrowserBrokerCredential::with_broker(broker, Some(options));
    let credential = credential.unwrap();
    let begun = Instant::now();
    let error = credential.get_token(&[STORAGE], None).await.unwrap_err();
    let took = begun.elapsed();
    println!("ended after {:.3} s: {error}", took.as_secs_f64());
    assert_eq!(*credential_error(&error).unwrap().kind(), ErrorKind::TimedOut, "{error}");
    assert!(took < LIMIT + GRACE, "{took:?}: {error}");
}

#[tokio::test]
async fn a_broker_that_is_stopped_before_it_was_met_inv_i7() {
    let machine = EmulatedMachine::start().await;
    let home = home(&machine);
    let broker = home.start_broker("");
    broker.signal(Signal::STOP);
    in_vain(&machine, local_broker(&home, &machine, BrokerChoice::Required)).await;
}

#[tokio::test]
async fn a_broker_that_is_stopped_after_it_was_met_inv_i7() {
    let machine = EmulatedMachine::start().await;
    let home = home(&machine);
    let process = home.start_broker("");
    for choice in [BrokerChoice::Auto, BrokerChoice::Required] {
        let broker = local_broker(&home, &machine, choice);
        broker.connect(Duration::from_secs(20)).await.unwrap();
        process.signal(Signal::STOP);
        in_vain(&machine, broker).await;
        process.signal(Signal::CONT);
    }
}

#[tokio::test]
async fn a_provider_that_stalls_inv_i7() {
    for choice in [BrokerChoice::Required, BrokerChoice::Never] {
        let machine = EmulatedMachine::start().await;
        machine.control("faults", json!({"endpoint": "metadata", "action": {"stall": {}}})).await;
        let home = home(&machine);
        let _broker = (choice == BrokerChoice::Required).then(|| home.start_broker(""));
        in_vain(&machine, local_broker(&home, &machine, choice)).await;
    }
}

#[tokio::test]
async fn a_bus_that_starts_a_broker_for_ever_inv_i7() {
    let machine = EmulatedMachine::start().await;
    for choice in [BrokerChoice::Required, BrokerChoice::Auto] {
        let mut home = home(&machine);
        let _bus = start_bus(&mut home);
        in_vain(&machine, local_broker(&home, &machine, choice)).await;
    }
}

#[tokio::test]
async fn a_browser_from_which_nobody_returns_inv_i7() {
    let machine = EmulatedMachine::start().await;
    for choice in [BrokerChoice::Required, BrokerChoice::Never] {
        let home = home(&machine);
        let _broker = (choice == BrokerChoice::Required).then(|| home.start_broker(""));
        in_vain(&machine, local_broker(&home, &machine, choice)).await;
    }
}
