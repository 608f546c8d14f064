//! The broker as a process.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use keybearer_emulator::Running;
use rustix::process::Signal;

use crate::home::{broker_status, complaint, home, mode};

#[test]
fn of_brokers_started_at_the_same_time_one_serves_and_the_others_are_content() {
    let home = home();
    let start = |_| Running::start(&mut home.keybearer(["broker", "run"]));
    let mut brokers: Vec<Running> = (0..6).map(start).collect();
    let expected = format!("ready {}", home.socket().display());
    for broker in &brokers {
        assert_eq!(broker.line(), expected);
        assert!(broker.is_silent(), "standard output ends after the ready line");
    }
    let serving = broker_status(&home)["pid"].as_u64().unwrap();
    let winner = brokers.iter().position(|broker| u64::from(broker.pid()) == serving).unwrap();
    let mut winner = brokers.swap_remove(winner);
    for loser in brokers {
        let (status, log) = loser.end();
        assert!(status.success(), "{log}");
    }
    assert!(!winner.has_ended());
}

#[test]
fn a_signal_ends_the_broker_politely() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let home = home();
        let broker = home.start_broker("");
        broker.signal(signal);
        let (status, log) = broker.end();
        assert!(status.success(), "{log}");
        assert!(!home.socket().exists());
    }
}

#[test]
fn stop_ends_the_broker_and_then_there_is_none_to_tell_about() {
    let home = home();
    let broker = home.start_broker("");
    let stopped = home.run("broker stop");
    assert_eq!((stopped.status.code(), stopped.stdout.as_slice()), (Some(0), &b"stopped\n"[..]));
    let (status, log) = broker.end();
    assert!(status.success(), "{log}");
    for command in ["broker status", "broker stop"] {
        let output = home.run(command);
        assert_eq!(output.status.code(), Some(5));
        assert!(output.stdout.is_empty() && complaint(&output).contains("hint: "), "{output:?}");
    }
}

#[test]
fn a_broker_told_to_replace_takes_the_place_of_the_one_that_runs_or_of_none() {
    let home = home();
    let mut broker = home.start_broker("--replace");
    for _ in 0..3 {
        let next = home.start_broker("--replace");
        assert_eq!(broker_status(&home)["pid"], next.pid());
        let (status, log) = std::mem::replace(&mut broker, next).end();
        assert!(status.success() && log.contains("stopping: asked to stop"), "{log}");
    }
}

#[test]
fn an_idle_broker_ends() {
    let home = home();
    let (status, log) = home.start_broker("--idle-exit 1").end();
    assert!(status.success() && log.contains("stopping: idle"), "{log}");
    assert!(!home.socket().exists());
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let home = home();
    let broker = home.start_broker("");
    broker.signal(Signal::KILL);
    broker.end();
    assert!(home.socket().exists());
    let accounts = home.run("accounts --output json");
    assert_eq!((accounts.status.code(), accounts.stdout.as_slice()), (Some(0), &b"[]\n"[..]));
}

#[test]
fn a_runtime_directory_that_is_not_private_is_refused_with_the_remedy() {
    let home = home();
    let directory = home.at("run/keybearer");
    let refused = |why: &str| {
        let output = home.run("broker run");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "no ready line");
        let complaint = complaint(&output);
        assert!(complaint.contains(why) && complaint.contains("\nhint: "), "{complaint}");
    };
    symlink(home.at("elsewhere"), &directory).unwrap();
    std::fs::create_dir(home.at("elsewhere")).unwrap();
    refused("it is not a real directory");
    std::fs::remove_file(&directory).unwrap();
    std::fs::create_dir(&directory).unwrap();
    mode(&directory, 0o777);
    refused("others may access it");
    mode(&directory, 0o700);
    // Only the superuser can change the owner of a directory.
    if std::os::unix::fs::chown(&directory, Some(12345), None).is_ok() {
        refused("belongs to user 12345");
    }
}

#[test]
fn a_wrong_configuration_is_refused_by_line() {
    let home = home();
    std::fs::create_dir_all(home.at(".config/keybearer")).unwrap();
    std::fs::write(home.at(".config/keybearer/config.toml"), "\ntrusted = []\n").unwrap();
    let output = home.run("broker run");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(complaint(&output).contains("line 2"), "{output:?}");
    // The client reports the broker's error.
    let output = home.run("accounts");
    assert_eq!(output.status.code(), Some(5));
    assert!(complaint(&output).contains("hint: "), "{output:?}");
}

#[test]
fn i5_the_process_leaves_no_core_dump() {
    let home = home();
    let broker = home.start_broker("");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", broker.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"]);
}

#[test]
fn a_bus_that_does_not_answer_does_not_hold_up_the_socket() {
    let home = home();
    let bus = std::os::unix::net::UnixListener::bind(home.at("bus")).unwrap();
    let address = format!("unix:path={}", home.at("bus").display());
    let home = home.with("DBUS_SESSION_BUS_ADDRESS", &address);
    // The first start looks for a keyring on the bus, for a second at most.
    let first = home.start_broker("");
    first.signal(Signal::TERM);
    first.end();
    let start = Instant::now();
    let broker = home.start_broker("");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(broker_status(&home)["bus"]["state"], "connecting");
    let start = Instant::now();
    broker.signal(Signal::TERM);
    let (status, log) = broker.end();
    assert!(status.success(), "{log}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(bus);
}

#[test]
fn a_key_that_is_damaged_while_the_broker_runs_is_reported_with_the_next_step() {
    for (file, problem) in [("master.key", "32 bytes"), ("key-location", "key-location")] {
        let home = home();
        let _broker = home.start_broker("");
        let path = home.at(".local/state/keybearer").join(file);
        std::fs::write(&path, "spoiled").unwrap();
        let shown = |command: &str| String::from_utf8(home.run(command).stdout).unwrap();
        for command in ["broker status", "doctor"] {
            let text = shown(command);
            let key =
                text.lines().position(|line| line.contains("  key") || line.starts_with("key"));
            let key = text.lines().skip(key.unwrap()).take(2).collect::<Vec<_>>().join("\n");
            assert!(key.contains(problem) && key.contains("move"), "{command}: {text}");
        }
        assert_eq!(home.run("doctor").status.code(), Some(1), "a damaged key is an error");
        assert_eq!(broker_status(&home)["key"], "unknown");
    }
}

#[test]
fn one_client_is_not_called_clients() {
    let home = home();
    let _broker = home.start_broker("");
    let status = String::from_utf8(home.run("broker status").stdout).unwrap();
    assert!(status.contains("(1 client)"), "{status}");
}
