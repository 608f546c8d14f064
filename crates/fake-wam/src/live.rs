use std::sync::atomic::{AtomicUsize, Ordering};

use crate::script;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Counts the live objects; every object for callers has one.
#[derive(Debug)]
pub(crate) struct Live(());

impl Default for Live {
    fn default() -> Self {
        let count = LIVE.fetch_add(1, Ordering::SeqCst) + 1;
        script::write("live", &count.to_string());
        Self(())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let count = LIVE.fetch_sub(1, Ordering::SeqCst) - 1;
        script::write("live", &count.to_string());
    }
}
