//! `get_token` ends in time, whoever does not answer (invariant I7).

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use azure_core::credentials::TokenCredential;
use keybearer::{
    Broker, BrokerChoice, ErrorKind, InteractiveBrowserBrokerCredential, credential_error,
};
use keybearer_client::{LocalBroker, LocalBrokerOptions};
use keybearer_core::AuthorityHost;
use keybearer_host::Environment;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::stage::{EmulatedMachine, STORAGE};

const LIMIT: Duration = Duration::from_secs(2);
/// What the caller gets its time back within.
const GRACE: Duration = Duration::from_millis(200);

/// A person's directories, and what runs in them until this is dropped.
struct Home {
    directory: TempDir,
    variables: Vec<(&'static str, PathBuf)>,
    running: Vec<Child>,
}

impl Home {
    fn new(stage: &EmulatedMachine) -> Self {
        let directory = TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["run", "bin"] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::set_permissions(at(name), PermissionsExt::from_mode(0o700)).unwrap();
        }
        let host = stage.emulator.ready().authority_host.trim_start_matches("https://").into();
        let variables = vec![
            ("HOME", directory.path().to_owned()),
            ("PATH", at("bin")),
            ("XDG_RUNTIME_DIR", at("run")),
            ("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", at("bus").display()).into()),
            ("SSL_CERT_FILE", stage.emulator.ready().ca.clone()),
            ("KEYBEARER_TRUSTED_AUTHORITY_HOSTS", host),
            // A browser that shows nothing: nobody will ever come back from it.
            ("BROWSER", "/bin/true".into()),
        ];
        Self { directory, variables, running: Vec::new() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&mut self, program: &Path, arguments: &[&str]) {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.variables.clone());
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let started = started.stderr(Stdio::null()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{} did not get ready", program.display());
        self.running.push(child);
    }

    /// The real broker.
    fn start_broker(&mut self) {
        let own = std::env::current_exe().unwrap();
        let program = own.ancestors().nth(2).unwrap().join("keybearer");
        assert!(program.exists(), "run `cargo build -p keybearer-cli` first");
        self.start(&program, &["broker", "run"]);
    }

    /// A real session bus, on which a broker is installed that never takes its name.
    fn start_bus(&mut self) {
        let (services, socket) = (self.at("services"), self.at("bus"));
        std::fs::create_dir(&services).unwrap();
        std::fs::write(
            services.join("broker.service"),
            "[D-BUS Service]\nName=com.microsoft.identity.broker1\nExec=/bin/sleep 20\n",
        )
        .unwrap();
        let (services, socket) = (services.display(), socket.display());
        let config = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
             "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig>
              <type>session</type><listen>unix:path={socket}</listen>
              <servicedir>{services}</servicedir>
              <policy context="default">
                <allow send_destination="*" eavesdrop="true"/>
                <allow eavesdrop="true"/><allow own="*"/>
              </policy>
            </busconfig>"#
        );
        std::fs::write(self.at("bus.conf"), config).unwrap();
        let config = format!("--config-file={}", self.at("bus.conf").display());
        self.start(Path::new("/usr/bin/dbus-daemon"), &[&config, "--nofork", "--print-address"]);
    }

    fn signal(&self, signal: Signal) {
        for child in &self.running {
            kill_process(Pid::from_child(child), signal).unwrap();
        }
    }

    /// The broker of this home, found as apps find it. Without one, this process trusts the
    /// emulator.
    fn local_broker(&self, stage: &EmulatedMachine, choice: BrokerChoice) -> Arc<LocalBroker> {
        let variables = self.variables.iter();
        let environment = Environment::from_pairs(variables.map(|(name, value)| (*name, value)));
        let host = AuthorityHost::parse(&stage.emulator.ready().authority_host).unwrap();
        let mut options = LocalBrokerOptions { choice, ..LocalBrokerOptions::default() };
        options.trusted_authority_hosts = [host].into();
        options.http = Some(stage.wire());
        Arc::new(LocalBroker::new(environment, options))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Asks for a token, which nobody will give.
async fn in_vain(stage: &EmulatedMachine, broker: Arc<dyn Broker>) {
    let mut options = stage.options();
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
    let stage = EmulatedMachine::set().await;
    let mut home = Home::new(&stage);
    home.start_broker();
    home.signal(Signal::STOP);
    in_vain(&stage, home.local_broker(&stage, BrokerChoice::Required)).await;
}

#[tokio::test]
async fn a_broker_that_is_stopped_after_it_was_met_inv_i7() {
    let stage = EmulatedMachine::set().await;
    let mut home = Home::new(&stage);
    home.start_broker();
    for choice in [BrokerChoice::Auto, BrokerChoice::Required] {
        let broker = home.local_broker(&stage, choice);
        broker.connect(Duration::from_secs(20)).await.unwrap();
        home.signal(Signal::STOP);
        in_vain(&stage, broker).await;
        home.signal(Signal::CONT);
    }
}

#[tokio::test]
async fn a_provider_that_stalls_inv_i7() {
    for choice in [BrokerChoice::Required, BrokerChoice::Never] {
        let stage = EmulatedMachine::set().await;
        stage.post("faults", json!({"endpoint": "metadata", "action": {"stall": {}}})).await;
        let mut home = Home::new(&stage);
        if choice == BrokerChoice::Required {
            home.start_broker();
        }
        in_vain(&stage, home.local_broker(&stage, choice)).await;
    }
}

#[tokio::test]
async fn a_bus_that_starts_a_broker_for_ever_inv_i7() {
    let stage = EmulatedMachine::set().await;
    for choice in [BrokerChoice::Required, BrokerChoice::Auto] {
        let mut home = Home::new(&stage);
        home.start_bus();
        in_vain(&stage, home.local_broker(&stage, choice)).await;
    }
}

#[tokio::test]
async fn a_browser_from_which_nobody_returns_inv_i7() {
    let stage = EmulatedMachine::set().await;
    for choice in [BrokerChoice::Required, BrokerChoice::Never] {
        let mut home = Home::new(&stage);
        if choice == BrokerChoice::Required {
            home.start_broker();
        }
        in_vain(&stage, home.local_broker(&stage, choice)).await;
    }
}
