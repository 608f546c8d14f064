use std::future::Future;
use std::pin::Pin;

use keybearer_engine::Spawner;
use tokio::runtime::Handle;

/// Spawns tasks on a tokio runtime.
#[derive(Clone, Debug)]
pub struct RuntimeSpawner(Handle);

impl RuntimeSpawner {
    /// Uses the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn current() -> Self {
        Self(Handle::current())
    }

    /// Uses this runtime.
    #[must_use]
    pub const fn on(handle: Handle) -> Self {
        Self(handle)
    }
}

impl Spawner for RuntimeSpawner {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(self.0.spawn(future));
    }
}
