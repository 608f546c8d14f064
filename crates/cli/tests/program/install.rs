//! Installing the broker for the session bus and systemd.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use keybearer_emulator::Home;

use crate::home::{broker_status, complaint, home};

const ACTIVATION: &str = ".local/share/dbus-1/services/com.microsoft.identity.broker1.service";
const SERVICE: &str = ".local/share/systemd/user/keybearer-broker.service";
const SOCKET: &str = ".local/share/systemd/user/keybearer-broker.socket";
const STRANGER: &str =
    "[D-BUS Service]\nName=com.microsoft.identity.broker1\nExec=/opt/other/broker\n";

/// A home in which the files of this machine are not visible.
fn isolated_home() -> Home {
    let home = home();
    let system = home.at("system").display().to_string();
    home.with("XDG_DATA_DIRS", &system)
}

/// Everything below the home directory, with its content.
fn tree(home: &Home) -> BTreeMap<PathBuf, Option<String>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![home.at("")];
    while let Some(directory) = waiting.pop() {
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path.clone());
            }
            found.insert(path.clone(), std::fs::read_to_string(&path).ok());
        }
    }
    found
}

fn place(home: &Home, name: &str, content: &str) -> PathBuf {
    let path = home.at(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

fn done(home: &Home, arguments: &str) -> String {
    let output = home.run(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn read(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.at(name)).unwrap()
}

#[test]
fn install_writes_its_files_once_and_uninstall_leaves_nothing() {
    let home = isolated_home();
    let before = tree(&home);
    let said = done(&home, "broker install --systemd always");
    for name in [ACTIVATION, SERVICE, SOCKET] {
        let path = home.at(name);
        assert!(said.contains(&format!("wrote      {}\n", path.display())), "{said}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o644, "{name}");
    }
    assert!(said.contains("next: systemctl --user enable --now keybearer-broker.socket\n"));
    let program = Path::new(env!("CARGO_BIN_EXE_keybearer")).display();
    let activation = read(&home, ACTIVATION);
    assert!(activation.contains(&format!("\nExec=\"{program}\" broker run\n")), "{activation}");
    assert!(activation.contains("\nSystemdService=keybearer-broker.service\n"), "{activation}");

    let installed = tree(&home);
    let said = done(&home, "broker install --systemd always");
    assert_eq!(said.matches("unchanged  ").count(), 3, "{said}");
    assert_eq!(tree(&home), installed);

    let said = done(&home, "broker uninstall");
    assert_eq!(said.matches("removed    ").count(), 3, "{said}");
    assert_eq!(tree(&home), before);
    assert!(done(&home, "broker uninstall").starts_with("nothing was installed\n"));
}

#[test]
fn status_and_doctor_tell_what_is_installed() {
    let home = isolated_home();
    let _broker = home.start_broker("");
    assert_eq!(broker_status(&home)["installed"]["files"], serde_json::json!([]));
    done(&home, "broker install --systemd always");
    let status = broker_status(&home);
    assert_eq!(status["installed"]["files"].as_array().unwrap().len(), 3, "{status}");
    assert_eq!(status["installed"]["program"], env!("CARGO_BIN_EXE_keybearer"));
    let said = done(&home, "broker status");
    assert!(said.contains(&format!("yes: {}\n", env!("CARGO_BIN_EXE_keybearer"))), "{said}");
    let installed = read(&home, ACTIVATION);
    for (program, level) in
        [("/bin/sh", "info     installed"), ("/not/there", "warning  installed")]
    {
        let text = installed.replace(env!("CARGO_BIN_EXE_keybearer"), program);
        place(&home, ACTIVATION, &text);
        let said = done(&home, "doctor");
        let line = said.lines().find(|line| line.starts_with(level)).unwrap_or_default();
        assert!(line.contains(program), "{said}");
    }
    place(&home, ".local/share/dbus-1/services/other.service", STRANGER);
    let said = done(&home, "doctor");
    assert!(said.contains("warning  installed") && said.contains("either may be used"), "{said}");
}

#[test]
fn without_systemd_only_the_bus_is_told_and_directories_of_others_stay() {
    let home = isolated_home();
    place(&home, ".local/share/dbus-1/services/other.service", "[D-BUS Service]\nName=a.b\n");
    let before = tree(&home);
    let said = done(&home, "broker install --systemd never");
    assert_eq!(said.matches("wrote ").count(), 1, "{said}");
    assert!(!said.contains("systemctl"), "{said}");
    assert!(!read(&home, ACTIVATION).contains("SystemdService"));
    done(&home, "broker uninstall");
    assert_eq!(tree(&home), before);
}

#[test]
fn what_systemctl_enable_linked_goes_too() {
    let home = isolated_home();
    let before = tree(&home);
    done(&home, "broker install --systemd always");
    let wants = home.at(".config/systemd/user/sockets.target.wants");
    std::fs::create_dir_all(&wants).unwrap();
    let link = wants.join("keybearer-broker.socket");
    std::os::unix::fs::symlink(home.at(SOCKET), link).unwrap();
    done(&home, "broker uninstall");
    let left: Vec<_> = tree(&home).into_keys().filter(|path| !before.contains_key(path)).collect();
    // The directories belong to systemd.
    assert_eq!(
        left,
        [".config", ".config/systemd", ".config/systemd/user"].map(|name| home.at(name))
    );
}

#[test]
fn another_broker_is_reported_and_nothing_written_unless_told_to_go_before_it() {
    let home = isolated_home();
    // Its name in the file counts, not that of the file.
    let other = place(&home, "system/dbus-1/services/anything.service", STRANGER);
    let before = tree(&home);
    let output = home.run("broker install");
    let said = complaint(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{} starts /opt/other/broker", other.display())), "{said}");
    assert!(said.contains("\nhint: ") && said.contains("--force"), "{said}");
    assert_eq!(tree(&home), before);

    let said = done(&home, "broker install --force");
    assert!(said.contains("conflict   another broker is installed"), "{said}");
    assert!(said.contains("(ours takes precedence)"), "{said}");
    done(&home, "broker uninstall");
    assert_eq!(tree(&home), before);
}

#[test]
fn a_file_that_goes_before_ours_is_named_even_if_told_to_go_before_it() {
    let named_so = "run/dbus-1/services/com.microsoft.identity.broker1.service";
    for (name, why) in [
        (named_so, "it takes precedence over ours"),
        (".local/share/dbus-1/services/other.service", "either may be used"),
    ] {
        let home = isolated_home();
        let other = place(&home, name, STRANGER);
        let before = tree(&home);
        let output = home.run("broker install --force");
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(said.contains(&format!("hint: move {} elsewhere", other.display())));
        assert!(said.contains("--force does not help"), "{said}");
        assert_eq!(tree(&home), before);
        std::fs::remove_file(other).unwrap();
        done(&home, "broker install");
    }
    let home = isolated_home();
    // There, the bus reads files by their names.
    place(&home, "run/dbus-1/services/other.service", STRANGER);
    done(&home, "broker install");
}

#[test]
fn a_file_of_another_program_in_our_place_is_moved_aside_and_comes_back() {
    let home = isolated_home();
    place(&home, ACTIVATION, STRANGER);
    let before = tree(&home);
    let output = home.run("broker install");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = done(&home, "broker uninstall");
    assert!(said.contains("left ") && said.contains("did not write"), "{said}");
    assert_eq!(tree(&home), before);

    done(&home, "broker install --force");
    assert!(read(&home, ACTIVATION).contains("keybearer"));
    let said = done(&home, "broker uninstall");
    assert!(said.contains("restored ") && tree(&home) == before, "{said}");
}

#[test]
fn the_units_are_such_as_systemd_reads() {
    let home = isolated_home();
    done(&home, "broker install --systemd always");
    let mut verify = std::process::Command::new("systemd-analyze");
    verify.args(["verify", "--user", "--man=no"]).arg(home.at(SERVICE)).arg(home.at(SOCKET));
    verify.env("XDG_RUNTIME_DIR", home.at("run")).env("HOME", home.at(""));
    // The program is part of systemd; a machine without it does not use the units.
    let Ok(output) = verify.output() else { return };
    let said = complaint(&output);
    assert!(output.status.success() && !said.contains("keybearer-broker"), "{said}");
}
