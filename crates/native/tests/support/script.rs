//! Programs that stand in for the ones of WSL.

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

/// A proxy of WSL at `path` that asks the broker behind `socket` through the program `double`.
pub(crate) fn proxy_to(socket: &Path, path: &Path, double: &str) -> PathBuf {
    script(path, &format!("exec '{double}' '{}' \"$@\"", socket.display()))
}
