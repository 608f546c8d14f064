use std::sync::Arc;

use arc_swap::ArcSwap;

/// State that must not survive a fork: a forked child starts with a new value, because threads,
/// connections and locks of the parent do not exist in the child. There is no lock in here, because
/// another thread may hold it at the moment of the fork.
pub(crate) struct PerProcess<T>(ArcSwap<(u32, Arc<T>)>);

impl<T: Default> PerProcess<T> {
    /// This process's value.
    pub(crate) fn get(&self) -> Arc<T> {
        let process = std::process::id();
        let found = self.0.load_full();
        if found.0 == process {
            return Arc::clone(&found.1);
        }
        // The parent's must not be wound up here.
        std::mem::forget(Arc::clone(&found));
        self.0.compare_and_swap(&found, Arc::new((process, Arc::default())));
        Arc::clone(&self.0.load().1)
    }
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        Self(ArcSwap::from_pointee((std::process::id(), Arc::default())))
    }
}

impl<T> std::fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerProcess").finish_non_exhaustive()
    }
}
