//! Programs that stand in for the ones of WSL.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

#[path = "../../../native/tests/support/script.rs"]
mod script;

use std::path::{Path, PathBuf};

pub(crate) use script::script;

/// A proxy that asks the broker behind `socket`.
pub(crate) fn proxy_to(socket: &Path, path: &Path) -> PathBuf {
    script::proxy_to(socket, path, env!("CARGO_BIN_EXE_keybearer-client-wsl-proxy-double"))
}
