//! The real program in a person's private directories.

use std::path::Path;
use std::process::Output;

use keybearer_emulator::Home;

/// Directories without a provider.
pub(crate) fn home() -> Home {
    Home::new().unwrap().with_keybearer(env!("CARGO_BIN_EXE_keybearer"))
}

/// `broker status`, as JSON.
pub(crate) fn broker_status(home: &Home) -> serde_json::Value {
    let output = home.run("broker status --output json");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Standard error as text.
pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}
