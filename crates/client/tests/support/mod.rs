//! Programs that stand in for the ones of WSL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Makes an executable script. A child writes it: what this process has open for writing while
/// another thread starts a program cannot be executed.
pub(crate) fn script(path: &Path, body: &str) -> PathBuf {
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("#!/bin/sh\n{body}\n");
    install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(install.wait().unwrap().success());
    path.to_owned()
}

/// A proxy that asks the broker behind `socket`.
pub(crate) fn proxy_to(socket: &Path, place: &Path) -> PathBuf {
    let double = env!("CARGO_BIN_EXE_keybearer-wsl-proxy-double");
    script(place, &format!("exec '{double}' '{}' \"$@\"", socket.display()))
}
