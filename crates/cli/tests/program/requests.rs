//! Requests that take long. The provider is a socket that never answers.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use keybearer_emulator::{Home, Running};
use rustix::process::Signal;

use crate::home::home;

/// A provider that accepts the connection and never answers.
struct Mute {
    listener: TcpListener,
    authority: String,
}

impl Mute {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = format!("localhost:{}", listener.local_addr().unwrap().port());
        Self { listener, authority }
    }

    fn home(&self) -> Home {
        home()
            .with("KEYBEARER_TRUSTED_AUTHORITY_HOSTS", &self.authority)
            .with("AZURE_AUTHORITY_HOST", format!("https://{}", self.authority))
            .with("BROWSER", "true")
    }

    /// Waits until the broker connects.
    fn asked(&self) -> TcpStream {
        self.listener.accept().unwrap().0
    }
}

#[test]
fn a_broker_killed_in_mid_request_is_an_error_and_the_next_call_finds_a_fresh_one() {
    let provider = Mute::new();
    let home = provider.home();
    let broker = home.start_broker("");
    let login = Running::start(&mut home.keybearer(["login"]));
    let call = provider.asked();
    broker.signal(Signal::KILL);
    let (status, log) = login.end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("the broker ended") && log.contains("\nhint: "), "{log}");
    drop(call);
    assert_eq!(home.run("accounts --output json").stdout, b"[]\n");
}

#[test]
fn ctrl_c_gives_the_request_up() {
    let provider = Mute::new();
    let home = provider.home();
    let _broker = home.start_broker("");
    let login = Running::start(&mut home.keybearer(["login"]));
    let _call = provider.asked();
    let start = Instant::now();
    login.signal(Signal::INT);
    let (status, log) = login.end();
    assert_eq!(status.code(), Some(4), "{log}");
    assert!(start.elapsed() < Duration::from_millis(1000), "{:?}", start.elapsed());
}

#[test]
fn i7_a_request_ends_when_its_time_is_over() {
    let provider = Mute::new();
    let home = provider.home();
    let _broker = home.start_broker("");
    let start = Instant::now();
    let output = home.run("login --timeout 1");
    let took = start.elapsed();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(output.stdout.is_empty());
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&took), "{took:?}");
}

#[test]
fn a_broker_that_is_told_to_end_does_not_wait_for_ever() {
    let provider = Mute::new();
    let home = provider.home();
    let broker = home.start_broker("");
    let login = Running::start(&mut home.keybearer(["login"]));
    let _call = provider.asked();
    let start = Instant::now();
    broker.signal(Signal::TERM);
    let (status, log) = broker.end();
    assert!(status.success(), "{log}");
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    let (status, log) = login.end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("the broker ended while") && log.contains("\nhint: try again"), "{log}");
}
