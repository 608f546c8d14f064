//! A client and a server on a private bus, run by the real `dbus-daemon`.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{
    AccountsRequest, Broker, CorrelationId, ErrorKind, InteractiveRequest, Missing, Prompt,
    SilentRequest, Timestamp, TokenParameters,
};
use keybearer_dbus::client::{Activation, BrokerProxy};
use keybearer_dbus::interface::{BUS_NAME, INTERFACE, OBJECT_PATH};
use keybearer_dbus::message::{AcquireTokenInteractively, Method};
use keybearer_dbus::server::{BusOutcome, BusService, serve_bus};
use keybearer_testkit::contract::{ContractFixture, Party, Situation};
use keybearer_testkit::double::{Answer, MemoryBroker, Received, ScriptedBroker, SignInBehaviour};
use keybearer_testkit::sample;
use tempfile::TempDir;
use tokio::sync::Mutex;

const TEST_LIMIT: Duration = Duration::from_secs(10);

/// A bus of our own. Ends when dropped.
struct Bus {
    address: String,
    daemon: Child,
    /// Kept open: what the bus starts writes to it, too.
    _output: BufReader<ChildStdout>,
    _directory: TempDir,
}

impl Bus {
    fn start() -> Self {
        Self::with_service(None)
    }

    /// A bus that can start the broker with a command line.
    fn with_service(exec: Option<&str>) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        let services = path.join("services");
        fs::create_dir(&services).unwrap();
        if let Some(exec) = exec {
            let service = format!("[D-BUS Service]\nName={BUS_NAME}\nExec={exec}\n");
            write(&services.join(format!("{BUS_NAME}.service")), &service);
        }
        let config = path.join("bus.conf");
        write(
            &config,
            &format!(
                r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
                 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
                <busconfig>
                  <type>session</type>
                  <listen>unix:path={path}/bus</listen>
                  <servicedir>{services}</servicedir>
                  <policy context="default">
                    <allow send_destination="*" eavesdrop="true"/>
                    <allow eavesdrop="true"/><allow own="*"/>
                  </policy>
                </busconfig>"#,
                path = path.display(),
                services = services.display(),
            ),
        );
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon is needed for this test: install it (Debian: dbus-daemon)");
        let mut address = String::new();
        let mut output = BufReader::new(daemon.stdout.take().unwrap());
        output.read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        Self { address, daemon, _output: output, _directory: directory }
    }

    async fn serve(&self, broker: Arc<dyn Broker>) -> BusService {
        match serve_bus(&self.address, broker, TEST_LIMIT).await.unwrap() {
            BusOutcome::Serving(service) => service,
            BusOutcome::Taken(owner) => panic!("the name is taken by {owner:?}"),
        }
    }

    async fn connect(&self) -> BrokerProxy {
        BrokerProxy::connect_bus(&self.address, Activation::Leave, TEST_LIMIT).await.unwrap()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

#[allow(clippy::disallowed_methods, reason = "the bus reads its configuration from a file")]
fn write(path: &std::path::Path, text: &str) {
    fs::write(path, text).unwrap();
}

/// Two programs on a bus.
#[derive(Default)]
struct OnBus(Mutex<Option<(Bus, BusService)>>);

#[async_trait]
impl ContractFixture for OnBus {
    async fn parties(&self, situation: Situation) -> [Party; 2] {
        let bus = Bus::start();
        let service = bus.serve(Arc::new(MemoryBroker::in_situation(situation))).await;
        let proxies = [bus.connect().await, bus.connect().await];
        *self.0.lock().await = Some((bus, service));
        proxies.map(|proxy| Party { broker: Arc::new(proxy), caller: sample::caller("program") })
    }

    fn parameters(&self) -> TokenParameters {
        sample::parameters()
    }

    fn now(&self) -> Timestamp {
        sample::now()
    }
}

mod contract {
    use super::OnBus;

    keybearer_testkit::contract_tests!(OnBus::default());
    keybearer_testkit::proof_contract_tests!(OnBus::default());
    keybearer_testkit::signing_contract_tests!(OnBus::default());
}

fn accounts() -> AccountsRequest {
    let correlation_id = CorrelationId::default();
    AccountsRequest { client_id: None, correlation_id, deadline: sample::deadline(TEST_LIMIT) }
}

#[tokio::test]
async fn a_name_that_is_taken_is_left_to_its_owner_who_is_named() {
    let bus = Bus::start();
    let first = bus.serve(Arc::new(ScriptedBroker::new())).await;
    let second =
        serve_bus(&bus.address, Arc::new(ScriptedBroker::new()), TEST_LIMIT).await.unwrap();
    let BusOutcome::Taken(owner) = second else { panic!("the first broker was replaced") };
    let process = owner.process.unwrap();
    assert_eq!(process.pid, std::process::id());
    assert_eq!(process.executable, std::env::current_exe().ok());
    assert!(owner.unique_name.starts_with(':'), "{}", owner.unique_name);
    first.release_name().await.unwrap();
    bus.serve(Arc::new(ScriptedBroker::new())).await;
}

#[tokio::test]
async fn i2_the_broker_knows_the_process_behind_a_name() {
    let bus = Bus::start();
    let broker = Arc::new(ScriptedBroker::new());
    let _service = bus.serve(Arc::clone(&broker) as Arc<dyn Broker>).await;
    let request = SilentRequest { parameters: sample::parameters() };
    bus.connect().await.acquire_silent(request).await.unwrap_err();
    let Some(Received::Silent(request)) = broker.received().pop() else { panic!() };
    let caller = request.parameters.caller;
    assert!(caller.id.to_string().starts_with(':'), "{}", caller.id);
    assert_eq!(caller.process.unwrap().pid, std::process::id());
}

#[tokio::test]
async fn a_client_that_leaves_the_bus_ends_its_sign_in() {
    let bus = Bus::start();
    let broker = Arc::new(ScriptedBroker::new());
    let _service = bus.serve(Arc::clone(&broker) as Arc<dyn Broker>).await;
    broker.on_interactive(Answer::Hang);
    let address = bus.address.as_str();
    let client = zbus::connection::Builder::address(address).build().await.unwrap();
    {
        let parameters = sample::parameters();
        let request = InteractiveRequest::new(parameters, Prompt::IfNeeded);
        let now = tokio::time::Instant::now().into_std();
        let arguments = ("0.0", "", AcquireTokenInteractively::encode_request(&request, now));
        let method = AcquireTokenInteractively::NAME;
        let call =
            client.call_method(Some(BUS_NAME), OBJECT_PATH, Some(INTERFACE), method, &arguments);
        tokio::select! {
            outcome = call => panic!("{outcome:?}"),
            () = broker.wait_for_calls(1) => {}
        }
    }
    client.close().await.unwrap();
    tokio::time::timeout(TEST_LIMIT, broker.wait_for_cancels(1)).await.unwrap();
}

#[tokio::test]
async fn i2_the_broker_calls_back_the_caller_and_nobody_else_gets_to_its_presenter() {
    let bus = Bus::start();
    let broker = Arc::new(ScriptedBroker::new());
    let _service = bus.serve(Arc::clone(&broker) as Arc<dyn Broker>).await;
    support::presenting::acts_arrive(&broker, &bus.connect().await).await;
    let broker = Arc::new(ScriptedBroker::new());
    let bus = Bus::start();
    let _service = bus.serve(Arc::clone(&broker) as Arc<dyn Broker>).await;
    let (proxy, caller_ui) = (bus.connect().await, support::presenting::caller_ui());
    let (call, _remote) = support::presenting::waiting(&broker, &proxy, &caller_ui).await;
    let client = proxy.connection().unique_name().unwrap().to_owned();
    let stranger = zbus::connection::Builder::address(bus.address.as_str());
    let stranger = stranger.build().await.unwrap();
    let id = sample::parameters().correlation_id;
    let name: String = id.as_str().chars().filter(char::is_ascii_alphanumeric).collect();
    let path = format!("/com/keybearer/presenter/call{name}");
    let interface = Some("com.keybearer.Presenter1");
    let act = r#"{"act":"openBrowser","url":"https://evil.example/"}"#;
    let reply = stranger.call_method(Some(client), path.as_str(), interface, "present", &act);
    let reply = reply.await.unwrap();
    let reply: String = reply.body().deserialize().unwrap();
    assert!(reply.contains("only the broker may use"), "{reply}");
    assert!(caller_ui.shown().browsers.is_empty());
    call.abort();
}

/// As another vendor's client: it has no caller_ui, and knows statuses only.
#[tokio::test]
async fn a_caller_without_a_display_is_told_that_a_person_has_to_sign_in_and_where() {
    let bus = Bus::start();
    let broker = Arc::new(ScriptedBroker::new());
    let _service = bus.serve(Arc::clone(&broker) as Arc<dyn Broker>).await;
    let nobody = keybearer_core::Error::unavailable(Missing::UserInterface, "open a browser")
        .with_hint("run `keybearer login`");
    broker.on_interactive(Answer::Now(Err(nobody)));
    let client = zbus::connection::Builder::address(bus.address.as_str()).build().await.unwrap();
    let json = r#"{"authParameters":{"clientId":"app-1","requestedScopes":["User.Read"],
        "authority":"https://login.microsoftonline.com/common"}}"#;
    let method = AcquireTokenInteractively::NAME;
    let arguments = ("0.0", "c-1", json);
    let reply = client
        .call_method(Some(BUS_NAME), OBJECT_PATH, Some(INTERFACE), method, &arguments)
        .await
        .unwrap();
    let reply: String = reply.body().deserialize().unwrap();
    let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
    let error = &reply["brokerTokenResponse"]["error"];
    assert_eq!(error["status"], 2, "{reply}");
    assert!(error["context"].as_str().unwrap().contains("`keybearer login`"), "{error}");
    let Some(Received::Interactive(arrived)) = broker.received().pop() else { panic!() };
    assert!(arrived.sign_in_options.caller_ui.is_none());
}

#[tokio::test]
async fn ping_is_answered_on_the_path_of_the_broker() {
    let bus = Bus::start();
    let _service = bus.serve(Arc::new(ScriptedBroker::new())).await;
    let address = bus.address.as_str();
    let client = zbus::connection::Builder::address(address).build().await.unwrap();
    let peer = Some("org.freedesktop.DBus.Peer");
    client.call_method(Some(BUS_NAME), OBJECT_PATH, peer, "Ping", &()).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_leaves_the_bus_during_a_call_is_worth_another_try() {
    let bus = Bus::start();
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_accounts(Answer::Hang);
    let (ready, served) = tokio::sync::oneshot::channel();
    let server = std::thread::spawn({
        let (broker, address) = (Arc::clone(&broker), bus.address.clone());
        move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let outcome = serve_bus(&address, broker.clone(), TEST_LIMIT).await.unwrap();
                ready.send(()).unwrap();
                broker.wait_for_calls(1).await;
                drop(outcome);
            });
        }
    });
    served.await.unwrap();
    let proxy = bus.connect().await;
    let error = proxy.accounts(accounts()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Transient { retry_after: None }, "{error}");
    assert!(proxy.is_closed(), "the connection to the bus lasts, but nobody answers on it");
    server.join().unwrap();
    let error = proxy.accounts(accounts()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker), "{error}");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_unavailable_and_the_reason_is_told() {
    let refused = async |address: &str, activation, why: &str| {
        let error = BrokerProxy::connect_bus(address, activation, TEST_LIMIT).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker));
        assert!(error.to_string().contains(why), "{error}");
    };
    let bare = Bus::start();
    refused(&bare.address, Activation::Start, "no broker is running or installed").await;
    let failing = Bus::with_service(Some("/bin/false"));
    refused(&failing.address, Activation::Leave, "no broker is running").await;
    refused(&failing.address, Activation::Start, "start the broker").await;
    refused("unix:path=/nonexistent/bus", Activation::Start, "connect to the session bus").await;
    refused("nonsense", Activation::Start, "connect to the session bus").await;
}

#[tokio::test]
async fn a_broker_that_is_installed_is_started() {
    let this = std::env::current_exe().unwrap();
    let exec = format!("{} --exact serves_when_started_by_a_bus", this.display());
    let bus = Bus::with_service(Some(&exec));
    let proxy =
        BrokerProxy::connect_bus(&bus.address, Activation::Start, TEST_LIMIT).await.unwrap();
    assert_ne!(proxy.process().pid, std::process::id());
    assert_eq!(proxy.accounts(accounts()).await.unwrap(), [sample::account()]);
}

/// The other half of [`a_broker_that_is_installed_is_started`]; does nothing by itself.
#[tokio::test]
async fn serves_when_started_by_a_bus() {
    #[allow(clippy::disallowed_methods, reason = "the bus says in it where it is")]
    let Ok(address) = std::env::var("DBUS_STARTER_ADDRESS") else { return };
    let person = SignInBehaviour::StaysAway;
    let broker = MemoryBroker::new(vec![sample::account()], person, sample::now());
    let outcome = serve_bus(&address, Arc::new(broker), TEST_LIMIT).await.unwrap();
    let BusOutcome::Serving(service) = outcome else { panic!("{outcome:?}") };
    service.closed().await;
}
