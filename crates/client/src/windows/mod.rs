//! Where an engine in this process keeps what it signs in, on Windows: in the user's profile, in a
//! directory whose access list names the user and the system only, its key sealed by DPAPI.
//!
//! DPAPI and not the Credential Manager: both protect with the same key of the user, but DPAPI asks
//! for no name that other programs could list or overwrite, and has no limit that matters.
#![allow(unsafe_code, reason = "the system's functions have no other form")]

mod access;
mod dpapi;
mod messages;

use std::fs::{File, TryLockError};
use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{Error, Result};
use keybearer_host::{Environment, Host, Paths};

use dpapi::Dpapi;
pub(crate) use messages::receive;

/// The right to use the state directory; one process has it at a time.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits until the directory is free, having made it if need be.
    pub(crate) async fn take(paths: &Paths) -> Result<Self> {
        const PATIENCE: Duration = Duration::from_millis(20);
        access::private_directory(&paths.state_dir)?;
        let failed = |error: std::io::Error| {
            Error::internal(format!("lock {}", paths.lock.display())).with_source(error)
        };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let lock = options.open(&paths.lock).map_err(failed)?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { _lock: lock }),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(PATIENCE).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }
}

/// The effects of an engine that keeps what it signs in. The caller has the [`Turn`].
pub(crate) fn durable_host(paths: &Paths, environment: &Environment) -> Host {
    Host::durable(paths, environment, Arc::new(Dpapi))
}

/// Whether something is kept already.
pub(crate) fn has_store(environment: &Environment) -> bool {
    Paths::current(environment).is_ok_and(|paths| paths.state_dir.join("store.redb").is_file())
}
