//! The errors of starting the emulator.

use std::io;
use std::path::PathBuf;

/// Why the emulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No listening socket on loopback: the port is taken, or loopback is not available.
    #[error("could not listen on {address}")]
    Bind {
        /// The requested address with its port.
        address: String,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// A certificate or key could not be made.
    #[error("could not make the certificates: {0}")]
    Certificates(String),
    /// A fixture is not TOML, has an unknown field, or names a tenant that it does not define.
    #[error("could not read the fixture: {0}")]
    Fixture(String),
    /// `auto_sign_in` names a user who is not in the fixture.
    #[error("could not sign in {0} without pages: the fixture has no such user")]
    UnknownUser(String),
    /// A file of the emulator's directory could not be written.
    #[error("could not write {path}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// The thread or runtime that serves could not be started.
    #[error("could not start the server")]
    Runtime(#[source] io::Error),
}
