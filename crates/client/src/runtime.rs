//! One background thread for this process's network and D-Bus work, so that callers need no async
//! runtime of any kind. A forked child gets its own: threads do not survive a fork.

use std::sync::{Mutex, PoisonError};

use keybearer_core::{Error, Result};
use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: Mutex<Option<BackgroundRuntime>> = Mutex::new(None);

/// The runtime of one process.
#[derive(Debug)]
struct BackgroundRuntime {
    process: u32,
    runtime: Runtime,
}

/// A handle to this process's background runtime, started on first use.
///
/// # Errors
/// `Internal` if the operating system refuses a thread.
pub fn background() -> Result<Handle> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some(background) = slot.as_ref().filter(|background| background.process == process) {
        return Ok(background.runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("keybearer")
        .enable_all()
        .build()
        .map_err(|error| Error::internal("start a background thread").with_source(error))?;
    let handle = runtime.handle().clone();
    // The parent's runtime must not be shut down here: its threads exist only in the parent.
    std::mem::forget(slot.replace(BackgroundRuntime { process, runtime }));
    Ok(handle)
}
