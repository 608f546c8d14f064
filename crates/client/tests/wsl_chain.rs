//! Which broker a program in WSL asks.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keybearer_client::{BrokerChoice, LocalBroker, LocalBrokerOptions, WslProxyLocator};
use keybearer_core::{AccountsRequest, Broker, CorrelationId, ErrorKind, Missing, Result};
use keybearer_dbus::server::serve_socket;
use keybearer_emulator::Home;
use keybearer_host::Environment;
use keybearer_testkit::contract::Situation;
use keybearer_testkit::double::{Answer, MemoryBroker, ScriptedBroker};
use keybearer_testkit::sample;
use tokio::net::UnixListener;

const LONG: Duration = Duration::from_secs(20);

/// A Linux in WSL on which nothing of Keybearer runs or is installed.
struct Wsl(Home);

impl Wsl {
    fn new() -> Self {
        let home = Home::new().unwrap();
        for place in ["bin", "run/keybearer", "windows"] {
            home.make_private(place).unwrap();
        }
        let no_bus = format!("unix:path={}", home.at("no-bus").display());
        let no_programs = home.at("bin");
        Self(
            home.with("PATH", no_programs)
                .with("DBUS_SESSION_BUS_ADDRESS", no_bus)
                .with("WSL_DISTRO_NAME", "Debian"),
        )
    }

    fn place(&self, name: &str) -> PathBuf {
        self.0.at(name)
    }

    fn serve(&self, socket: &str, broker: Arc<dyn Broker>) -> PathBuf {
        let socket = self.place(socket);
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve_socket(stream, Arc::clone(&broker), number));
            }
        });
        socket
    }

    /// A broker of this Linux, with no accounts.
    fn serve_natively(&self, calls: usize) -> Arc<ScriptedBroker> {
        let broker = Arc::new(ScriptedBroker::new());
        for _ in 0..calls {
            broker.on_accounts(Answer::Now(Ok(Vec::new())));
        }
        self.serve("run/keybearer/broker.sock", broker.clone());
        broker
    }

    fn broker(&self, proxy: &str) -> LocalBroker {
        let proxy = (WslProxyLocator::VARIABLE, proxy.as_ref());
        let environment = Environment::from_pairs(self.0.variables().chain([proxy]));
        let choice = BrokerChoice::Required;
        LocalBroker::new(environment, LocalBrokerOptions { choice, ..Default::default() })
    }

    fn broker_with(&self, proxy: PathBuf) -> LocalBroker {
        self.broker(proxy.to_str().unwrap())
    }
}

async fn accounts(broker: &LocalBroker) -> Result<usize> {
    let correlation_id = CorrelationId::new("c");
    let request =
        AccountsRequest { client_id: None, correlation_id, deadline: sample::deadline(LONG) };
    broker.accounts(request).await.map(|accounts| accounts.len())
}

#[tokio::test]
async fn windows_is_asked_before_a_broker_of_this_linux() {
    let wsl = Wsl::new();
    let native = wsl.serve_natively(1);
    let windows = Arc::new(MemoryBroker::in_situation(Situation::OneAccount));
    let socket = wsl.serve("windows/broker.sock", windows);
    let proxy = support::proxy_to(&socket, &wsl.place("windows/proxy.exe"));
    let broker = wsl.broker_with(proxy);
    assert_eq!(accounts(&broker).await.unwrap(), 1);
    assert!(native.received().is_empty());
}

#[tokio::test]
async fn a_proxy_that_cannot_work_leaves_it_to_a_broker_of_this_linux_from_then_on() {
    for body in ["exit 1", "exit 0", "kill -KILL $$"] {
        let wsl = Wsl::new();
        let native = wsl.serve_natively(2);
        let log = wsl.place("windows/log");
        let body = format!("echo run >> '{}'; {body}", log.display());
        let proxy = support::script(&wsl.place("windows/proxy.exe"), &body);
        let broker = wsl.broker_with(proxy);
        assert_eq!(accounts(&broker).await.unwrap(), 0, "{body}");
        assert_eq!(accounts(&broker).await.unwrap(), 0, "{body}");
        assert_eq!(native.received().len(), 2);
        assert_eq!(std::fs::read_to_string(log).unwrap(), "run\n", "once is enough");
    }
}

#[tokio::test]
async fn a_broker_of_this_linux_that_is_replaced_costs_no_request() {
    let wsl = Wsl::new();
    let native = Arc::new(ScriptedBroker::new());
    native.on_accounts(Answer::Now(Ok(Vec::new())));
    native.on_accounts(Answer::Now(Ok(Vec::new())));
    let listener = UnixListener::bind(wsl.place("run/keybearer/broker.sock")).unwrap();
    let serving = native.clone();
    tokio::spawn(async move {
        // The first one goes away with a request under way.
        let stream = listener.accept().await.unwrap().0.into_std().unwrap();
        let end = stream.try_clone().unwrap();
        let gone = Arc::new(ScriptedBroker::new());
        gone.on_accounts(Answer::Hang);
        let stream = tokio::net::UnixStream::from_std(stream).unwrap();
        tokio::spawn(serve_socket(stream, gone.clone(), 0));
        gone.wait_for_calls(1).await;
        end.shutdown(std::net::Shutdown::Both).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        serve_socket(stream, serving, 1).await
    });
    let log = wsl.place("windows/log");
    let body = format!("echo run >> '{}'; exit 1", log.display());
    let broker = wsl.broker_with(support::script(&wsl.place("windows/proxy.exe"), &body));
    assert_eq!(accounts(&broker).await.unwrap(), 0);
    assert_eq!(accounts(&broker).await.unwrap(), 0);
    assert_eq!(native.received().len(), 2);
    assert_eq!(std::fs::read_to_string(log).unwrap(), "run\n", "Windows is not asked again");
}

#[tokio::test]
async fn a_search_after_the_proxy_ends_within_the_callers_limit_inv_i7() {
    let wsl = Wsl::new();
    let _silent = UnixListener::bind(wsl.place("run/keybearer/broker.sock")).unwrap();
    let broker = wsl.broker_with(support::script(&wsl.place("windows/proxy.exe"), "exit 1"));
    let (begun, timeout) = (Instant::now(), Duration::from_millis(500));
    let correlation_id = CorrelationId::new("c");
    let request =
        AccountsRequest { client_id: None, correlation_id, deadline: sample::deadline(timeout) };
    broker.accounts(request).await.unwrap_err();
    assert!(begun.elapsed() < timeout + Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_answer_of_windows_is_not_replaced_by_another_brokers() {
    let wsl = Wsl::new();
    let native = wsl.serve_natively(1);
    let error = r#"{"error":{"context":"closed","errorCode":0,"status":7,"tag":557155398}}"#;
    let proxy = support::script(&wsl.place("windows/proxy.exe"), &format!("echo '{error}'"));
    let error = accounts(&wsl.broker_with(proxy)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert!(native.received().is_empty());
}

#[tokio::test]
async fn without_the_proxy_a_broker_of_this_linux_serves() {
    for proxy in ["off", "/nowhere/msal.wsl.proxy.exe"] {
        let wsl = Wsl::new();
        let native = wsl.serve_natively(1);
        assert_eq!(accounts(&wsl.broker(proxy)).await.unwrap(), 0);
        assert_eq!(native.received().len(), 1, "{proxy}");
    }
}

#[tokio::test]
async fn without_any_broker_the_error_says_what_was_tried_and_what_to_do_about_each() {
    let wsl = Wsl::new();
    let broken = support::script(&wsl.place("windows/proxy.exe"), "exit 1");
    let broken = broken.to_str().unwrap();
    for (proxy, hint) in [("/nowhere/proxy.exe", "absolute path"), (broken, "wsl.exe --update")] {
        let error = accounts(&wsl.broker(proxy)).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker), "{error}");
        for part in ["run/keybearer", "session bus", "not installed", "proxy"] {
            assert!(error.message().contains(part), "{part}: {error}");
        }
        for part in [hint, "install the keybearer program"] {
            assert!(error.hint().unwrap().contains(part), "{part}: {error}");
        }
    }
}
