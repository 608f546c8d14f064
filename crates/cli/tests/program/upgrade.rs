//! Replacing the program by a newer one while its broker runs and serves requests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use keybearer_client::{BrokerChoice, LocalBroker, LocalBrokerOptions};
use keybearer_core::{AccountsRequest, Broker, CorrelationId, Deadline};
use keybearer_emulator::{Home, Running, eventually};
use keybearer_host::Environment;

use crate::bus::{activating_bus, joined};
use crate::home::{complaint, mode};
use crate::provider::Provider;
use crate::sign_in::{address, connect};
use crate::terminal::Terminal;

const DEV: &str = "dev@contoso.example";
const ROUNDS: usize = 8;

/// The program, installed in the home.
struct Installed(PathBuf);

impl Installed {
    fn in_home(home: &Home) -> Self {
        std::fs::create_dir(home.at("bin")).unwrap();
        let installed = Self(home.at("bin/keybearer"));
        installed.upgrade();
        installed
    }

    /// Replaces the file as a package manager does: by renaming, so that the old one keeps running.
    fn upgrade(&self) {
        let new = self.0.with_extension("new");
        // In a separate process: a program that another thread starts meanwhile would hold the
        // file open for writing, and a program that is written to cannot be run.
        let copy = Command::new("cp").arg(env!("CARGO_BIN_EXE_keybearer")).arg(&new).status();
        assert!(copy.unwrap().success());
        std::fs::rename(&new, &self.0).unwrap();
    }

    fn program(&self, home: &Home, arguments: &str) -> Command {
        let mut command = home.command(&self.0);
        command.args(arguments.split_whitespace());
        command
    }
}

/// Requests one after another, and their outcomes.
#[derive(Default)]
struct Stream {
    answered: AtomicUsize,
    failed: std::sync::Mutex<Vec<String>>,
}

impl Stream {
    fn run(&self, ending: &AtomicBool, mut request: impl FnMut() -> Result<(), String>) {
        while !ending.load(Ordering::Relaxed) {
            match request() {
                Ok(()) => drop(self.answered.fetch_add(1, Ordering::Relaxed)),
                Err(failure) => self.failed.lock().unwrap().push(failure),
            }
        }
    }

    fn count(&self) -> usize {
        self.answered.load(Ordering::Relaxed) + self.failed.lock().unwrap().len()
    }
}

/// Starts a new program for the request.
fn token(installed: &Installed, home: &Home) -> Result<(), String> {
    let arguments = "token --silent --scope https://storage.azure.com/.default";
    let output = installed.program(home, arguments).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(complaint(&output)) }
}

/// One program that stays connected. A broker that it starts uses the same home.
fn staying(installed: &Installed, home: &Home) -> impl FnMut() -> Result<(), String> {
    let program = home.at("start");
    let variables = installed.program(home, "");
    let variables: Vec<String> = variables
        .get_envs()
        .map(|(name, value)| {
            format!("{}='{}'", name.display(), value.unwrap_or_default().display())
        })
        .collect();
    let script = format!(
        "#!/bin/sh\nexec env -i {} {} \"$@\"\n",
        variables.join(" "),
        installed.0.display()
    );
    std::fs::write(&program, script).unwrap();
    mode(&program, 0o755);
    let mut environment: Vec<_> = installed
        .program(home, "")
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_owned())))
        .collect();
    environment.push(("KEYBEARER_PROGRAM".to_owned(), program.into_os_string()));
    let pairs = environment.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let options = LocalBrokerOptions { choice: BrokerChoice::Required, ..Default::default() };
    let broker = LocalBroker::new(Environment::from_pairs(pairs), options);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    move || {
        let request = AccountsRequest {
            client_id: None,
            correlation_id: CorrelationId::new("c"),
            deadline: Deadline::after(Duration::from_secs(20), std::time::Instant::now()),
        };
        match runtime.block_on(broker.accounts(request)) {
            Ok(accounts) if accounts.len() == 1 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }
}

/// Repeatedly replaces the program and stops its broker while programs make requests.
fn no_request_is_lost(home: &Home, installed: &Installed) {
    let streams: [Stream; 3] = Default::default();
    let ending = AtomicBool::new(false);
    let mut brokers = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        let [own, other, staying_one] = &streams;
        scope.spawn(|| own.run(&ending, || token(installed, home)));
        scope.spawn(|| other.run(&ending, || token(installed, home)));
        scope.spawn(|| staying_one.run(&ending, staying(installed, home)));
        let ends = EndsWhenDropped(&ending);
        for _ in 0..ROUNDS {
            let before: Vec<usize> = streams.iter().map(Stream::count).collect();
            installed.upgrade();
            let stopped = installed.program(home, "broker stop").output().unwrap();
            // For a moment there is no broker, and then `stop` reports that.
            assert!(matches!(stopped.status.code(), Some(0 | 5)), "{stopped:?}");
            eventually("each has been answered again", || {
                let more =
                    streams.iter().zip(&before).all(|(stream, before)| stream.count() > before + 2);
                more.then_some(())
            });
            brokers.insert(pid(home));
        }
        drop(ends);
    });
    for stream in &streams {
        assert_eq!(*stream.failed.lock().unwrap(), [""; 0]);
    }
    assert!(brokers.len() > ROUNDS / 2, "{brokers:?}");
}

/// Ends the other threads when one fails.
struct EndsWhenDropped<'a>(&'a AtomicBool);

impl Drop for EndsWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn pid(home: &Home) -> u64 {
    eventually("a broker", || {
        let output = home.run("broker status --output json");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).ok()?["pid"].as_u64()
    })
}

#[test]
fn no_request_is_lost_when_programs_start_the_next_broker() {
    let provider = Provider::start();
    let home = provider.home();
    let installed = Installed::in_home(&home);
    connect(&provider, &home, DEV);
    no_request_is_lost(&home, &installed);
}

#[test]
fn no_request_is_lost_when_the_session_bus_starts_the_next_broker() {
    let provider = Provider::start();
    let home = provider.home();
    let system = home.at("system").display().to_string();
    let home = home.with("XDG_DATA_DIRS", &system);
    let bus = activating_bus(&home);
    let home = joined(home, &bus);
    let installed = Installed::in_home(&home);
    let output = installed.program(&home, "broker install --systemd never").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    connect(&provider, &home, DEV);
    no_request_is_lost(&home, &installed);
    let broker = std::fs::read_link(format!("/proc/{}/exe", pid(&home))).unwrap();
    assert_eq!(broker, Path::new(&installed.0));
}

#[test]
fn a_sign_in_under_way_is_finished_by_the_broker_that_ends_if_the_person_is_quick() {
    let provider = Provider::start();
    let home = provider.home();
    let mut terminal = Terminal::start(&home.keybearer(["login", "--paste"]));
    let shown = terminal.wait_for("paste it here");
    let stop = Running::start(&mut home.keybearer(["broker", "stop"]));
    eventually("it is leaving", || (!home.socket().exists()).then_some(()));
    let ended_at = provider.sign_in(DEV, &address(&shown));
    terminal.wait_until_it_listens();
    terminal.press(&format!("{ended_at}\r"));
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.shown);
    assert!(stop.end().0.success());
    // The next broker knows the account.
    let arguments = "token --silent --scope https://storage.azure.com/.default";
    let token = home.run(arguments);
    assert!(token.status.success(), "{}", complaint(&token));
}

#[test]
fn a_broker_that_is_replaced_in_mid_sign_in_leaves_the_store_to_the_next() {
    let provider = Provider::start();
    let home = provider.home();
    let old = home.start_broker("");
    let mut terminal = Terminal::start(&home.keybearer(["login", "--paste"]));
    terminal.wait_for("paste it here");
    let replaced = u64::from(old.pid());
    let _next = home.start_broker("--replace");
    // Or a broker started by the program that lost its broker.
    assert_ne!(pid(&home), replaced);
    let (status, log) = old.end();
    assert!(status.success() && log.contains("cut off"), "{log}");
}
