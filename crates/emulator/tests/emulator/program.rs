use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keybearer_emulator::{Emulator, EmulatorOptions, Error, Ready};

const PROGRAM: &str = env!("CARGO_BIN_EXE_keybearer-emulator");

#[test]
fn program_writes_its_files_for_the_owner_only_says_ready_and_ends_at_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("new");
    let mut child = Command::new(PROGRAM)
        .args(["serve", "--exit-with-parent", "--dir"])
        .arg(&dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = first_line(&mut child);
    let written = std::fs::read_to_string(dir.join("ready.json")).unwrap();
    assert_eq!(line, format!("ready {written}"));
    let ready: Ready = serde_json::from_str(&written).unwrap();
    assert_eq!((ready.pid, ready.ca), (child.id(), dir.join("ca.pem")));
    assert_eq!((ready.users.len(), ready.apps.len()), (3, 4));
    for (name, mode) in [
        ("", 0o700),
        ("ca.pem", 0o600),
        ("server.pem", 0o600),
        ("server.key", 0o600),
        ("ready.json", 0o600),
    ] {
        assert_eq!(mode_of(&dir.join(name)), mode, "{name}");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn program_ends_with_the_process_that_started_it() {
    let script = format!("{PROGRAM} serve --exit-with-parent & read line");
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(shell.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.starts_with("ready "));
    drop(shell.stdin.take());
    shell.wait().unwrap();
    assert_eq!(
        output.read_line(&mut line).unwrap(),
        0,
        "the output is closed when the program has ended"
    );
}

#[test]
fn emulator_removes_its_own_directory_and_frees_its_port() {
    let emulator = Emulator::start(EmulatorOptions::default()).unwrap();
    let ready = emulator.ready().clone();
    assert!(ready.ca.exists());
    emulator.stop();
    assert!(!ready.ca.exists());
    let port = ready.authority_host.rsplit_once(':').unwrap().1.parse().unwrap();
    let options = EmulatorOptions { port, ..EmulatorOptions::default() };
    let again = Emulator::start(options.clone()).unwrap();
    assert_eq!(again.ready().authority_host, ready.authority_host);
    assert!(matches!(Emulator::start(options), Err(Error::Bind { .. })));
}

#[test]
fn options_that_name_nothing_are_refused() {
    let options = EmulatorOptions {
        auto_sign_in: Some("unknown@contoso.example".into()),
        ..EmulatorOptions::default()
    };
    assert!(matches!(Emulator::start(options), Err(Error::UnknownUser(_))));
    let options =
        EmulatorOptions { fixture: Some("nonsense".into()), ..EmulatorOptions::default() };
    assert!(matches!(Emulator::start(options), Err(Error::Fixture(_))));
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
