//! Where an engine in this process keeps what it signs in, on systems where no broker of ours runs:
//! in the user's state directory.
//!
//! On Windows the directory's access list names the user and the system only, and the key of the
//! store is sealed by DPAPI. Not by the Credential Manager: both protect with the same key of the
//! user, but DPAPI needs no name that other programs could list or overwrite. Elsewhere the
//! directory has mode 0700 and the key is a file in it.

use std::fs::{File, TryLockError};
use std::time::Duration;

use keybearer_core::{Error, Result};
use keybearer_host::{Environment, Host, Paths};

/// The right to use the state directory; one process has it at a time.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _lock: File,
}

impl StoreLock {
    /// Waits until the directory is free, having made it if need be.
    pub(crate) async fn take(paths: &Paths) -> Result<Self> {
        const STORE_LOCK_LIMIT: Duration = Duration::from_millis(20);
        close_to_others(paths)?;
        let failed = |error: std::io::Error| {
            Error::internal(format!("lock {}", paths.lock.display())).with_source(error)
        };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let lock = options.open(&paths.lock).map_err(failed)?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { _lock: lock }),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(STORE_LOCK_LIMIT).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }
}

/// Whether something is kept already.
pub(crate) fn has_store(environment: &Environment) -> bool {
    Paths::current(environment).is_ok_and(|paths| paths.state_dir.join("store.log").is_file())
}

#[cfg(windows)]
fn close_to_others(paths: &Paths) -> Result<()> {
    crate::windows::private_directory(&paths.state_dir)
}

#[cfg(not(windows))]
fn close_to_others(paths: &Paths) -> Result<()> {
    keybearer_host::private_dir(&paths.state_dir)?;
    keybearer_host::private_dir(&paths.runtime_dir).map(drop)
}

/// The effects of an engine that keeps what it signs in. The caller has the [`StoreLock`].
#[cfg(windows)]
pub(crate) fn durable_host(paths: &Paths, environment: &Environment) -> Host {
    Host::durable(paths, environment, std::sync::Arc::new(crate::windows::Dpapi))
}

/// The effects of an engine that keeps what it signs in. The caller has the [`StoreLock`].
#[cfg(not(windows))]
pub(crate) fn durable_host(paths: &Paths, environment: &Environment) -> Host {
    Host::durable(paths, environment)
}
