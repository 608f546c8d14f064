//! From a credential in WSL to an identity provider and back. Each call of the credential starts a
//! process of the proxy. The proxy asks Keybearer's engine, which stands for Windows' broker, over a
//! socket. The engine signs in through its loopback listener at an emulated provider, over TLS.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keybearer_client::{Credential, CredentialOptions, ProxyBroker, TokenQuery};
use keybearer_core::{Broker, TokenSource};
use keybearer_dbus::server::serve_socket;
use keybearer_emulator::{Home, Laboratory};
use keybearer_testkit::emulated;
use tokio::net::UnixListener;

const USER: &str = "dev@contoso.example";

/// The part of Windows. Everything ends with the test.
struct Windows {
    home: Home,
    laboratory: Laboratory,
}

impl Windows {
    async fn start() -> Self {
        let laboratory = Laboratory::signing_in(USER).unwrap();
        let person = laboratory.person(USER).unwrap();
        let engine = emulated::engine(&laboratory, person).await.unwrap();
        let windows = Self { home: laboratory.home().unwrap(), laboratory };
        windows.serve(Arc::new(engine));
        windows
    }

    fn socket(&self) -> PathBuf {
        self.home.at("run/broker.sock")
    }

    fn serve(&self, broker: Arc<dyn Broker>) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        tokio::spawn(async move {
            for number in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve_socket(stream, Arc::clone(&broker), number));
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_in_wsl_signs_in_once_through_windows() {
    let windows = Windows::start().await;
    let program = support::proxy_to(&windows.socket(), &windows.home.at("proxy.exe"));
    let options = CredentialOptions {
        authority: Some(windows.laboratory.ready().authority_host.clone()),
        timeout: Some(Duration::from_secs(30)),
        ..CredentialOptions::default()
    };
    let scopes = ["https://storage.azure.com/.default"];
    let query = TokenQuery { scopes: &scopes, ..TokenQuery::default() };
    let credential = || {
        let broker = Arc::new(ProxyBroker::new(program.clone()));
        Credential::with_broker(&options, broker).unwrap()
    };
    let first = credential().acquire(query).await.unwrap();
    assert_eq!((first.account.username.as_str(), first.source), (USER, TokenSource::SignIn));
    // Another program, on the same Windows.
    let second = credential().acquire(query).await.unwrap();
    assert_eq!(second.source, TokenSource::Cache);
    assert!(second.access_token.same_as(&first.access_token));
}
