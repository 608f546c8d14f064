//! The broker inside this process, with temporary directories.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use keybearer_broker::{BrokerControl, BrokerOptions, BusStatus, Exit, SignIns, StopReason, serve};
use keybearer_core::{AccountsRequest, Broker, CorrelationId};
use keybearer_dbus::client::BrokerProxy;
use keybearer_emulator::Home;
use keybearer_host::{Environment, Paths};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(10);

/// A person's directories, as a broker in this process finds them.
struct BrokerHome {
    _home: Home,
    environment: Environment,
    paths: Paths,
}

impl BrokerHome {
    fn new() -> Self {
        let home = Home::new().unwrap();
        let environment = Environment::from_pairs(home.variables());
        let paths = Paths::current(&environment).unwrap();
        Self { _home: home, environment, paths }
    }

    /// Starts a broker and waits until it serves.
    async fn start(&self) -> JoinHandle<keybearer_core::Result<Exit>> {
        let (ready, is_ready) = oneshot::channel();
        let environment = self.environment.clone();
        let broker = tokio::spawn(async move {
            let never = std::future::pending();
            let options = BrokerOptions { idle_exit: None, ..BrokerOptions::default() };
            serve(&environment, options, |_| ready.send(()).unwrap(), never).await
        });
        is_ready.await.unwrap();
        broker
    }

    async fn control(&self) -> BrokerControl {
        BrokerControl::connect(&self.paths.socket, LIMIT).await.unwrap()
    }
}

#[tokio::test]
async fn a_broker_serves_tells_about_itself_and_ends_when_asked() {
    let home = BrokerHome::new();
    let broker = home.start().await;
    let proxy = BrokerProxy::connect_socket(&home.paths.socket, LIMIT).await.unwrap();
    let correlation_id = CorrelationId::new("c");
    let request = AccountsRequest { client_id: None, correlation_id, timeout: LIMIT };
    assert_eq!(proxy.accounts(request).await.unwrap(), []);
    let control = home.control().await;
    let status = control.status(LIMIT).await.unwrap();
    assert_eq!((status.pid, status.accounts, status.clients), (std::process::id(), 0, 2));
    assert_eq!((&status.socket, &status.store), (&home.paths.socket, &home.paths.state_dir));
    assert_eq!((status.key.place.as_str(), status.notices.len()), ("file", 0));
    assert!(matches!(status.bus, BusStatus::Absent | BusStatus::Connecting), "{status:?}");
    control.stop(SignIns::CutOff, LIMIT).await.unwrap();
    assert_eq!(broker.await.unwrap().unwrap(), Exit::Served(StopReason::Asked));
    assert!(!home.paths.socket.exists());
}

#[tokio::test]
async fn a_second_broker_leaves_the_first_alone() {
    let home = BrokerHome::new();
    let first = home.start().await;
    let second = home.start().await;
    assert_eq!(second.await.unwrap().unwrap(), Exit::AlreadyRunning);
    home.control().await.stop(SignIns::CutOff, LIMIT).await.unwrap();
    assert_eq!(first.await.unwrap().unwrap(), Exit::Served(StopReason::Asked));
}

#[tokio::test]
async fn a_broker_started_while_another_ends_takes_its_place() {
    let home = BrokerHome::new();
    for _ in 0..5 {
        let broker = home.start().await;
        home.control().await.stop(SignIns::CutOff, LIMIT).await.unwrap();
        let next = home.start().await;
        home.control().await.stop(SignIns::CutOff, LIMIT).await.unwrap();
        for ended in [broker, next] {
            assert_eq!(ended.await.unwrap().unwrap(), Exit::Served(StopReason::Asked));
        }
    }
}

#[tokio::test]
async fn the_socket_and_its_directory_are_closed_to_others() {
    let home = BrokerHome::new();
    let broker = home.start().await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.paths.socket), 0o600);
    assert_eq!(mode(&home.paths.runtime_dir), 0o700);
    home.control().await.stop(SignIns::CutOff, LIMIT).await.unwrap();
    broker.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_broker_whose_socket_is_removed_or_replaced_ends() {
    type Remove = fn(&Paths);
    let ways: [Remove; 3] = [
        |paths| std::fs::remove_file(&paths.socket).unwrap(),
        |paths| std::fs::remove_dir_all(&paths.runtime_dir).unwrap(),
        |paths| {
            let other = paths.runtime_dir.join("other");
            std::fs::write(&other, "").unwrap();
            std::fs::rename(&other, &paths.socket).unwrap();
        },
    ];
    for remove in ways {
        let home = BrokerHome::new();
        let broker = home.start().await;
        remove(&home.paths);
        let ended = tokio::time::timeout(LIMIT, broker).await.unwrap();
        assert_eq!(ended.unwrap().unwrap(), Exit::Served(StopReason::SocketGone));
    }
}

#[tokio::test]
async fn silent_clients_do_not_keep_others_out() {
    let home = BrokerHome::new();
    let broker = home.start().await;
    let mut silent = Vec::new();
    // The first of these are disconnected to make room for the last.
    for _ in 0..700 {
        silent.push(tokio::net::UnixStream::connect(&home.paths.socket).await.unwrap());
        if silent.len() > 300 {
            silent.remove(0);
        }
    }
    let status = home.control().await.status(LIMIT).await.unwrap();
    assert!(status.clients <= 512, "{status:?}");
    home.control().await.stop(SignIns::CutOff, LIMIT).await.unwrap();
    broker.await.unwrap().unwrap();
}
