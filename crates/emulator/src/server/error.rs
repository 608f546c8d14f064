//! What can stop the emulator from starting.

use std::io;
use std::path::PathBuf;

/// Why the emulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No listening socket on loopback: the port is taken, or loopback is not available.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address that was asked for, with its port.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A certificate or key could not be made.
    #[error("cannot make the certificates: {0}")]
    Certificates(String),
    /// A fixture is not TOML, has an unknown field, or names a tenant that it does not define.
    #[error("cannot read the fixture: {0}")]
    Fixture(String),
    /// `auto_sign_in` names nobody in the fixture.
    #[error("cannot sign in {0} without asking: no such user in the fixture")]
    UnknownUser(String),
    /// A file of the emulator's directory could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The thread or runtime that serves could not be started.
    #[error("cannot start serving")]
    Runtime(#[source] io::Error),
}
