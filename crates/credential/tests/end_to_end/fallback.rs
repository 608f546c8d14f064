//! A browser of this process, where a broker lacks something or failed.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use keybearer::{
    AcquireOptions, BrokerChoice, Error, ErrorKind, InteractiveBrowserBrokerCredential,
    InteractiveRequest, Missing, SilentRequest, TokenSource,
};
use keybearer_client::{LocalBroker, LocalBrokerOptions};
use keybearer_core::{AccountChoice, AuthorityHost};
use keybearer_dbus::server::serve_socket;
use keybearer_host::Environment;
use keybearer_testkit::double::{Answer, Received, ScriptedBroker};
use tempfile::TempDir;
use tokio::net::UnixListener;

use crate::stage::{EmulatedMachine, STORAGE, sign_in_ui};

/// A machine without a broker, and a credential that looks for one there.
fn machine(stage: &EmulatedMachine) -> (TempDir, Arc<InteractiveBrowserBrokerCredential>) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let names = ["HOME", "XDG_RUNTIME_DIR", "PATH"];
    let environment = Environment::from_pairs(names.map(|name| (name, directory.path())));
    let host = AuthorityHost::parse(&stage.emulator.ready().authority_host).unwrap();
    let options = LocalBrokerOptions {
        choice: BrokerChoice::Auto,
        trusted_authority_hosts: [host].into(),
        http: Some(stage.wire()),
        sign_in_ui: Some(sign_in_ui(&stage.emulator)),
        ..LocalBrokerOptions::default()
    };
    let broker = Arc::new(LocalBroker::new(environment, options));
    (directory, stage.credential_of(broker))
}

/// A broker appears on the machine.
fn serve(directory: &TempDir, broker: &Arc<ScriptedBroker>) {
    let place = directory.path().join("keybearer");
    std::fs::create_dir(&place).unwrap();
    std::fs::set_permissions(&place, PermissionsExt::from_mode(0o700)).unwrap();
    let listener = UnixListener::bind(place.join("broker.sock")).unwrap();
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
        let stage = EmulatedMachine::set().await;
        let (directory, credential) = machine(&stage);
        let broker = Arc::new(ScriptedBroker::new());
        broker.on_silent(Answer::Now(Err(Error::interaction_required("nobody is connected"))));
        broker.on_interactive(Answer::Now(Err(failure.clone())));
        serve(&directory, &broker);
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
    let stage = EmulatedMachine::set().await;
    let (directory, credential) = machine(&stage);
    let first = credential.acquire(&[STORAGE], None).await.unwrap();
    assert_eq!(first.source, TokenSource::SignIn);

    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Now(Err(Error::interaction_required("who is that"))));
    serve(&directory, &broker);
    let cae = AcquireOptions { enable_cae: true, ..AcquireOptions::default() };
    let second = credential.acquire(&[STORAGE], Some(cae)).await.unwrap();
    assert_eq!(second.source, TokenSource::Refresh);
    assert_eq!(second.account.home_account_id, first.account.home_account_id);
    // The broker was asked first, for that account, and not for the person.
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
    let stage = EmulatedMachine::set().await;
    let directory = tempfile::tempdir().unwrap();
    let names = ["XDG_RUNTIME_DIR", "PATH", "HOME"];
    // Services have no home: nothing here needs one.
    for names in [&names[..], &names[..2]] {
        let variables = names.iter().map(|name| (*name, directory.path()));
        let host = AuthorityHost::parse(&stage.emulator.ready().authority_host).unwrap();
        let options = LocalBrokerOptions {
            trusted_authority_hosts: [host].into(),
            http: Some(stage.wire()),
            ..LocalBrokerOptions::default()
        };
        let broker = Arc::new(LocalBroker::new(Environment::from_pairs(variables), options));
        let credential = stage.credential_of(broker);
        let error = credential.acquire(&[STORAGE], None).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::UserInterface), "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}
