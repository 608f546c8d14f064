//! From a credential in WSL to an identity provider and back: each call of the credential is a
//! process of the proxy, which asks Keybearer's engine (in the place of Windows' broker) over its
//! socket, which signs in through its loopback listener at an emulated provider, over TLS.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keybearer_client::{Credential, CredentialOptions, ProxyBroker, TokenQuery};
use keybearer_core::{Broker, TokenSource};
use keybearer_dbus::server::serve_socket;
use keybearer_emulator::Emulator;
use support::emulated;
use tempfile::TempDir;
use tokio::net::UnixListener;

const USER: &str = "dev@contoso.example";

/// What stands for Windows. Everything ends with the test.
struct Windows {
    place: TempDir,
    emulator: Emulator,
}

impl Windows {
    async fn start() -> Self {
        let place = TempDir::new().unwrap();
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(place.path(), closed).unwrap();
        let emulator = emulated::signing_in(USER);
        let engine = emulated::engine(&emulator).await;
        let windows = Self { place, emulator };
        windows.serve(Arc::new(engine));
        windows
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("broker.sock")
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
    let program = support::proxy_to(&windows.socket(), &windows.place.path().join("proxy.exe"));
    let options = CredentialOptions {
        authority: Some(windows.emulator.ready().authority_host.clone()),
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
