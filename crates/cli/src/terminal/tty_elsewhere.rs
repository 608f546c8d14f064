use keybearer_core::{Error, Missing, Result};

use super::key::Key;

/// Keys are read from Unix terminals only; here the system's broker prompts the person.
#[derive(Debug)]
pub(super) enum Tty {}

impl Tty {
    pub(super) fn open() -> Result<Self> {
        Err(Error::unavailable(
            Missing::UserInterface,
            "could not read from the terminal: not supported on this system",
        ))
    }

    #[allow(clippy::unused_async, reason = "same signature as on Unix")]
    pub(super) async fn key(&mut self) -> Result<Key> {
        match *self {}
    }
}
