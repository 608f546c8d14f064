//! Brokers started through the files of `broker install`: by the real `dbus-daemon`, and by a service
//! manager that passes its socket.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use keybearer_emulator::{Home, Running, SessionBus, eventually};
use rustix::process::Signal;

use crate::bus::{activating_bus, joined};
use crate::home::{broker_status, complaint, home, mode};

const LIMIT: Duration = Duration::from_secs(30);
const NAME: &str = "com.microsoft.identity.broker1";
const PATH: &str = "/com/microsoft/identity/broker1";
const METHOD: &str = "com.microsoft.identity.Broker1.getLinuxBrokerVersion";

/// Programs that can call a name on the bus; each is part of another package.
const CALLERS: [&str; 3] = [
    "dbus-send --session --print-reply --dest={NAME} {PATH} {METHOD} string:0.0 string:c string:{}",
    "busctl --user --address={ADDRESS} call {NAME} {PATH} {INTERFACE} {MEMBER} sss 0.0 c {}",
    "gdbus call --session --dest {NAME} --object-path {PATH} --method {METHOD} 0.0 c {}",
];

/// Calls the broker; `None` if this machine has no such program.
fn call(home: &Home, bus: &SessionBus, caller: &str) -> Option<Output> {
    let (interface, member) = METHOD.rsplit_once('.').unwrap();
    let values = [
        ("{NAME}", NAME),
        ("{PATH}", PATH),
        ("{METHOD}", METHOD),
        ("{ADDRESS}", bus.address()),
        ("{INTERFACE}", interface),
        ("{MEMBER}", member),
    ];
    let line =
        values.iter().fold(caller.to_owned(), |line, (name, value)| line.replace(name, value));
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).env("DBUS_SESSION_BUS_ADDRESS", bus.address());
    command.env("HOME", home.at("")).output().ok()
}

#[test]
fn the_session_bus_starts_what_was_installed_and_after_uninstall_nothing() {
    let home = home();
    let system = home.at("system").display().to_string();
    let home = home.with("XDG_DATA_DIRS", &system);
    // It is older than the files and their directory.
    let bus = activating_bus(&home);
    let home = joined(home, &bus);
    let installed = home.run("broker install --systemd never");
    let said = String::from_utf8(installed.stdout).unwrap();
    assert!(installed.status.success() && !said.contains("does not read that directory"), "{said}");
    let mut answered = 0;
    for caller in CALLERS {
        assert!(!home.socket().exists(), "no broker runs");
        let Some(output) = call(&home, &bus, caller) else { continue };
        let reply = String::from_utf8_lossy(&output.stdout);
        assert!(reply.contains("linuxBrokerVersion"), "{caller}: {output:?}");
        assert_eq!(broker_status(&home)["bus"]["state"], "owned");
        assert!(home.run("broker stop").status.success());
        answered += 1;
    }
    assert!(answered > 0, "no program to call the bus with; dbus-send is beside dbus-daemon");

    // The program also asks the bus before it starts a broker itself.
    assert_eq!(home.run("accounts --output json").stdout, b"[]\n");
    let broker = broker_status(&home)["pid"].as_u64().unwrap();
    let environment = std::fs::read_to_string(format!("/proc/{broker}/environ")).unwrap();
    assert!(environment.contains("DBUS_STARTER_ADDRESS="), "the bus started it");
    assert!(home.run("broker stop").status.success());

    assert!(home.run("broker uninstall").status.success());
    let output = call(&home, &bus, CALLERS[0]).unwrap();
    assert!(complaint(&output).contains("ServiceUnknown"), "{output:?}");
    assert!(!home.socket().exists());
}

/// systemd's part for the units: it listens, and starts the program when a client connects.
struct ServiceManager {
    listener: UnixListener,
    notified: UnixDatagram,
}

impl ServiceManager {
    fn listen(home: &Home) -> Self {
        std::fs::DirBuilder::new().mode(0o700).create(home.at("run/keybearer")).unwrap();
        let listener = UnixListener::bind(home.socket()).unwrap();
        mode(&home.socket(), 0o600);
        let notified = UnixDatagram::bind(home.at("notify")).unwrap();
        notified.set_read_timeout(Some(LIMIT)).unwrap();
        Self { listener, notified }
    }

    /// sd_listen_fds(3), sd_notify(3).
    fn start(&self, home: &Home, arguments: &str) -> Running {
        const SCRIPT: &str = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@""#;
        let program =
            home.keybearer(["broker", "run"].into_iter().chain(arguments.split_whitespace()));
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(program.get_program()).args(program.get_args());
        command.env_clear().envs(program.get_envs().filter_map(|(k, v)| Some((k, v?))));
        command.env("NOTIFY_SOCKET", home.at("notify"));
        command.stdin(OwnedFd::from(self.listener.try_clone().unwrap()));
        Running::start(&mut command)
    }

    /// The next notification of the program.
    fn notification(&self) -> String {
        let mut text = [0; 256];
        let length = self.notified.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    }
}

#[test]
fn a_socket_of_the_service_manager_is_served_and_outlives_every_broker() {
    let home = home();
    let manager = ServiceManager::listen(&home);
    for (arguments, signal) in [("", Some(Signal::TERM)), ("--idle-exit 1", None), ("", None)] {
        // The client connects first, and waits for a process that serves the socket.
        let mut client = home.keybearer(["accounts", "--output", "json"]);
        let client = Running::start(&mut client);
        let broker = manager.start(&home, arguments);
        assert_eq!(manager.notification().trim(), "READY=1");
        assert_eq!(client.line(), "[]");
        match signal {
            Some(signal) => broker.signal(signal),
            None if arguments.is_empty() => {
                assert_eq!(broker_status(&home)["pid"], broker.pid());
                assert!(home.run("broker stop").status.success());
            }
            None => {}
        }
        let (status, log) = broker.end();
        assert!(status.success(), "{log}");
        assert!(home.socket().exists(), "{log}");
    }
    // So that `Home` does not wait for a broker there.
    std::fs::remove_file(home.socket()).unwrap();
}

#[test]
fn who_replaces_a_broker_of_the_service_manager_leaves_the_next_to_it_too() {
    let home = home();
    let manager = ServiceManager::listen(&home);
    let first = manager.start(&home, "");
    manager.notification();
    let by_hand = Running::start(&mut home.keybearer(["broker", "run", "--replace"]));
    let (status, log) = first.end();
    assert!(status.success() && log.contains("stopping: asked to stop"), "{log}");
    // The broker started by hand connects, which makes the service manager start its own.
    let next = manager.start(&home, "");
    let (status, log) = by_hand.end();
    assert!(status.success() && log.contains("another broker is already running"), "{log}");
    assert_eq!(broker_status(&home)["pid"], next.pid());
    assert!(home.run("broker stop").status.success());
    std::fs::remove_file(home.socket()).unwrap();
}

#[test]
fn a_socket_at_another_place_is_refused() {
    let home = home();
    let manager = ServiceManager::listen(&home);
    std::fs::remove_file(home.socket()).unwrap();
    let other = UnixListener::bind(home.at("other.sock")).unwrap();
    let broker = ServiceManager { listener: other, ..manager }.start(&home, "");
    let (status, log) = broker.end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("the service manager passed a socket at another path"), "{log}");
}

#[test]
fn systemds_own_hand_over_is_understood() {
    let home = home();
    std::fs::DirBuilder::new().mode(0o700).create(home.at("run/keybearer")).unwrap();
    let program = home.keybearer(["broker", "run"]);
    let mut command = Command::new("systemd-socket-activate");
    command.arg("--listen").arg(home.socket());
    for (name, value) in program.get_envs() {
        let setting = format!("{}={}", name.display(), value.unwrap_or_default().display());
        command.arg("--setenv").arg(setting);
    }
    command.arg(program.get_program()).args(program.get_args());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    // The program is part of systemd; a machine without it has no such hand-over.
    let Ok(mut systemd) = command.spawn() else { return };
    eventually("the socket", || home.socket().exists().then_some(()));
    let accounts = home.run("accounts --output json");
    let stopped = home.run("broker stop");
    let ended = eventually("the end", || systemd.try_wait().unwrap());
    let mut log = String::new();
    systemd.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(accounts.stdout, b"[]\n", "{log}");
    assert!(stopped.status.success() && ended.success(), "{log}");
    std::fs::remove_file(home.socket()).unwrap();
}
