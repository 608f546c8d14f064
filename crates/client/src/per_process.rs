use std::sync::{Arc, Mutex, PoisonError};

/// A value that a forked child has its own of: what the parent was doing with it goes on in the
/// parent only, and threads, connections and locks do not survive a fork.
pub(crate) struct PerProcess<T>(Mutex<(u32, Arc<T>)>);

impl<T: Default> PerProcess<T> {
    /// This process's value.
    pub(crate) fn get(&self) -> Arc<T> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if slot.0 != process {
            // The parent's must not be wound up here.
            std::mem::forget(std::mem::replace(&mut *slot, (process, Arc::default())));
        }
        Arc::clone(&slot.1)
    }
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        Self(Mutex::new((std::process::id(), Arc::default())))
    }
}

impl<T> std::fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerProcess").finish_non_exhaustive()
    }
}
