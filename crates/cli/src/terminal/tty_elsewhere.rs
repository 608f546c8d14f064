use keybearer_core::{Error, Missing, Result};

use super::key::Key;

/// Reading key by key is for Unix terminals; here the system's own broker asks people.
#[derive(Debug)]
pub(super) enum Tty {}

impl Tty {
    pub(super) fn open() -> Result<Self> {
        Err(Error::unavailable(
            Missing::UserInterface,
            "could not read from the terminal: not supported on this system",
        ))
    }

    #[allow(clippy::unused_async, reason = "the same as where there are keys to wait for")]
    pub(super) async fn key(&mut self) -> Result<Key> {
        match *self {}
    }
}
