//! A broker that cannot start: the person whose program started it reads the cause.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use keybearer_emulator::Home;

use crate::home::{complaint, mode};

/// `nobody`: modes of directories do not stop the superuser, so tests that run as root run the
/// program as this user.
const ORDINARY_USER: u32 = 65534;

/// The arguments, run as an ordinary user to whom the home directory belongs.
fn run_as_ordinary_user(home: &Home, arguments: &str) -> Output {
    let mut command: Command = home.keybearer(arguments.split_whitespace());
    if rustix::process::geteuid().is_root() {
        command.uid(ORDINARY_USER).gid(ORDINARY_USER);
    }
    command.output().unwrap()
}

/// Makes a directory of this mode for the ordinary user.
fn directory(path: &Path, bits: u32) {
    std::fs::create_dir_all(path).unwrap();
    mode(path, bits);
    if rustix::process::geteuid().is_root() {
        chown(path, Some(ORDINARY_USER), Some(ORDINARY_USER)).unwrap();
    }
}

fn home() -> Home {
    let home = crate::home::home();
    directory(&home.at(""), 0o700);
    directory(&home.at("run"), 0o700);
    home
}

fn assert_reported(output: &Output, exit: i32, cause: &str) {
    let complaint = complaint(output);
    assert_eq!(output.status.code(), Some(exit), "{complaint}");
    assert!(complaint.contains(cause), "{complaint}");
    let hint = complaint.lines().find_map(|line| line.strip_prefix("hint: "));
    assert!(hint.is_some_and(|hint| !hint.is_empty()), "{complaint}");
}

#[test]
fn a_directory_that_cannot_be_written_is_reported_to_whoever_started_the_broker() {
    for (unwritable, named) in [
        (".local/state", "/.local/state/keybearer"),
        (".local/state/keybearer", "/.local/state/keybearer/"),
        ("run", "/run/keybearer"),
        ("run/keybearer", "/run/keybearer/broker.lo"),
    ] {
        let home = home();
        for parent in [".local", ".local/state"] {
            directory(&home.at(parent), 0o700);
        }
        directory(&home.at(unwritable), 0o500);
        for (command, exit) in [("broker run --idle-exit 1", 1), ("accounts", 5)] {
            let output = run_as_ordinary_user(&home, command);
            assert_reported(&output, exit, "Permission denied");
            assert!(complaint(&output).contains(named), "{output:?}");
        }
        mode(&home.at(unwritable), 0o700);
    }
}
