//! A browser of this process, where a broker lacks something or failed.

use std::sync::Arc;

use keybearer::{
    AcquireOptions, BrokerChoice, Error, ErrorKind, InteractiveBrowserBrokerCredential,
    InteractiveRequest, Missing, SilentRequest, TokenSource,
};
use keybearer_client::{LocalBroker, LocalBrokerOptions};
use keybearer_core::AccountChoice;
use keybearer_dbus::server::serve_socket;
use keybearer_emulator::Home;
use keybearer_host::Environment;
use keybearer_testkit::double::{Answer, Received, ScriptedBroker};
use keybearer_testkit::emulated;
use tokio::net::UnixListener;

use crate::emulated_machine::{EmulatedMachine, STORAGE};

/// Directories without a broker, and a credential that looks for one there.
fn without_broker(machine: &EmulatedMachine) -> (Home, Arc<InteractiveBrowserBrokerCredential>) {
    let home = home();
    let person = machine.laboratory.person("dev").unwrap();
    let options = LocalBrokerOptions {
        choice: BrokerChoice::Auto,
        sign_in_ui: Some(emulated::sign_in_ui(person)),
        ..options(machine)
    };
    let environment = Environment::from_pairs(home.variables());
    let broker = Arc::new(LocalBroker::new(environment, options));
    (home, machine.credential_of(broker))
}

/// Directories in which no program is found.
fn home() -> Home {
    let home = Home::new().unwrap();
    let no_programs = home.make_private("bin").unwrap();
    home.with("PATH", no_programs)
}

fn options(machine: &EmulatedMachine) -> LocalBrokerOptions {
    LocalBrokerOptions {
        trusted_authority_hosts: [emulated::authority_host(&machine.laboratory).unwrap()].into(),
        http: Some(emulated::http(&machine.laboratory)),
        ..LocalBrokerOptions::default()
    }
}

/// A broker appears on the machine.
fn serve(home: &Home, broker: &Arc<ScriptedBroker>) {
    home.make_private("run/keybearer").unwrap();
    let listener = UnixListener::bind(home.socket()).unwrap();
    let broker = Arc::clone(broker);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve_socket(stream, broker, 0).await
    });
}

#[tokio::test]
async fn a_browser_signs_in_where_the_broker_lacks_something_or_failed() {
    let cases = [
        (Error::unavailable(Missing::DeviceRegistration, "the device is not registered"), true),
        (Error::unavailable(Missing::UserInterface, "the broker has no display"), true),
        (Error::internal("the broker's store is damaged"), true),
        (Error::cancelled("the person closed the window"), false),
    ];
    for (failure, helped) in cases {
        let machine = EmulatedMachine::start().await;
        let (home, credential) = without_broker(&machine);
        let broker = Arc::new(ScriptedBroker::new());
        broker.on_silent(Answer::Now(Err(Error::interaction_required("no account is connected"))));
        broker.on_interactive(Answer::Now(Err(failure.clone())));
        serve(&home, &broker);
        match credential.acquire(&[STORAGE], None).await {
            Ok(token) => {
                assert!(helped, "{failure}");
                assert_eq!(token.source, TokenSource::SignIn);
            }
            Err(error) => {
                assert!(!helped, "{failure}: {error}");
                assert_eq!(error.kind(), failure.kind());
            }
        }
    }
}

#[tokio::test]
async fn whoever_signed_in_here_is_still_known_when_a_broker_appears_inv_i8() {
    let machine = EmulatedMachine::start().await;
    let (home, credential) = without_broker(&machine);
    let first = credential.acquire(&[STORAGE], None).await.unwrap();
    assert_eq!(first.source, TokenSource::SignIn);

    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Now(Err(Error::interaction_required("the account is unknown"))));
    serve(&home, &broker);
    let cae = AcquireOptions { enable_cae: true, ..AcquireOptions::default() };
    let second = credential.acquire(&[STORAGE], Some(cae)).await.unwrap();
    assert_eq!(second.source, TokenSource::Refresh);
    assert_eq!(second.account.home_account_id, first.account.home_account_id);
    // The broker got a request for that account first, and none for a sign-in.
    let asked: Vec<AccountChoice> = broker.received().into_iter().filter_map(account).collect();
    assert_eq!(asked, [AccountChoice::Exact(first.account.home_account_id)]);
}

fn account(received: Received) -> Option<AccountChoice> {
    match received {
        Received::Silent(SilentRequest { parameters }) => Some(parameters.account),
        Received::Interactive(InteractiveRequest { parameters, .. }) => Some(parameters.account),
        _ => None,
    }
}

#[tokio::test]
async fn without_a_broker_and_without_a_way_to_a_person_that_is_what_is_said() {
    let machine = EmulatedMachine::start().await;
    let home = home();
    // Services have no home directory, and none is needed.
    for without in ["", "HOME"] {
        let variables = home.variables().filter(|(name, _)| *name != without);
        let environment = Environment::from_pairs(variables);
        let broker = Arc::new(LocalBroker::new(environment, options(&machine)));
        let credential = machine.credential_of(broker);
        let error = credential.acquire(&[STORAGE], None).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::UserInterface), "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}
