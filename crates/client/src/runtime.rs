//! One background thread for this process's network and D-Bus work, so that callers need no async
//! runtime of any kind. A forked child gets its own: threads do not survive a fork.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use keybearer_core::{Error, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// Without a lock: a child that is forked while another thread holds it would wait for ever.
static RUNTIME: ArcSwapOption<BackgroundRuntime> = ArcSwapOption::const_empty();

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
    let process = std::process::id();
    let found = RUNTIME.load_full();
    if let Some(background) = found.as_ref().filter(|background| background.process == process) {
        return Ok(background.runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("keybearer")
        .enable_all()
        .build()
        .map_err(|error| {
            Error::internal("could not start a background thread").with_source(error)
        })?;
    let own = Arc::new(BackgroundRuntime { process, runtime });
    // The parent's runtime must not be shut down here: its threads exist only in the parent.
    std::mem::forget(found.clone());
    RUNTIME.compare_and_swap(&found, Some(Arc::clone(&own)));
    let first = RUNTIME.load_full().unwrap_or_else(|| Arc::clone(&own));
    if let (false, Some(own)) = (Arc::ptr_eq(&first, &own), Arc::into_inner(own)) {
        // Another thread was quicker.
        own.runtime.shutdown_background();
    }
    Ok(first.runtime.handle().clone())
}
