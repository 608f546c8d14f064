//! The real program on a Windows without Web Account Manager: it signs in with the browser and stores
//! the account itself.
//!
//! `cargo xtask test` runs this in Wine, with the emulator on the other side of loopback and
//! `xtask browse` as the browser.
#![cfg(windows)]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const SCOPE: &str = "https://storage.azure.com/.default";

/// A person's profile.
struct Profile(TempDir);

impl Profile {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keybearer"));
        command.args(arguments).stdin(Stdio::null());
        for name in ["LOCALAPPDATA", "APPDATA"] {
            command.env(name, self.0.path().join(name));
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        output_of(self.command(arguments).output().unwrap())
    }

    /// The content of every file of the profile.
    fn files(&self) -> Vec<Vec<u8>> {
        let state = self.0.path().join("LOCALAPPDATA").join("keybearer");
        let files = state.read_dir().unwrap().map(|entry| entry.unwrap().path());
        files.map(|path: std::path::PathBuf| std::fs::read(path).unwrap()).collect()
    }
}

fn output_of(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn contains(content: &[u8], part: &str) -> bool {
    content.windows(part.len()).any(|window| window == part.as_bytes())
}

#[test]
fn a_sign_in_with_the_browser_is_there_for_the_next_command() {
    let profile = Profile::new();
    let silent = ["token", "--silent", "--scope", SCOPE];
    let (code, stdout, stderr) = profile.run(&silent);
    assert_eq!((code, &*stdout), (3, ""), "{stderr}");

    let (code, stdout, stderr) = profile.run(&["login", "--scope", SCOPE, "--timeout", "60"]);
    assert_eq!(code, 0, "{stderr}");
    let user = std::env::var("KEYBEARER_BROWSE_USER").unwrap();
    assert!(stdout.starts_with(&format!("signed in as {user} ")), "{stdout}");

    let (code, token, stderr) = profile.run(&silent);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(token.trim_end().split('.').count(), 3, "a token and nothing else (invariant I10)");
    assert!(profile.run(&["accounts"]).1.contains(&user));
    for content in profile.files() {
        for secret in [token.trim_end(), user.as_str()] {
            assert!(!contains(&content, secret), "invariant I4: sealed on disk");
        }
    }

    let doctor = profile.run(&["doctor"]).1;
    for part in ["this Windows has none", "sealed for you (DPAPI)", "for sign-ins with the browser"]
    {
        assert!(doctor.contains(part), "{doctor}");
    }
    assert_eq!(profile.run(&["logout"]).1, format!("forgot {user}\n"));
    assert_eq!(profile.run(&silent).0, 3);
}

#[test]
fn commands_at_the_same_time_take_turns() {
    let profile = Profile::new();
    let (code, _, stderr) =
        profile.run(&["login", "--browser", "--scope", SCOPE, "--timeout", "60"]);
    assert_eq!(code, 0, "{stderr}");
    let start = |_| {
        let mut command = profile.command(&["token", "--silent", "--scope", SCOPE]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..4).map(start).collect();
    for child in running {
        let (code, token, stderr) = output_of(child.wait_with_output().unwrap());
        assert_eq!((code, token.trim_end().split('.').count()), (0, 3), "{stderr}");
    }
}

#[test]
fn there_is_no_broker_to_run() {
    let (code, stdout, stderr) = Profile::new().run(&["broker", "run"]);
    assert_eq!((code, &*stdout), (5, ""));
    assert!(stderr.contains("hint: run `keybearer doctor`"), "{stderr}");
    assert!(Path::new(env!("CARGO_BIN_EXE_keybearer")).ends_with("keybearer.exe"));
}
