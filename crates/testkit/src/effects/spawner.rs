use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use keybearer_engine::Spawner;
use tokio::task::JoinHandle;

use super::lock;

/// Runs tasks on the current runtime, and can abort all of them, as a crash does.
#[derive(Clone, Debug, Default)]
pub struct TokioSpawner(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl TokioSpawner {
    /// Aborts all tasks.
    pub fn crash(&self) {
        for task in lock(&self.0).drain(..) {
            task.abort();
        }
    }
}

impl Spawner for TokioSpawner {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let mut tasks = lock(&self.0);
        tasks.retain(|task| !task.is_finished());
        tasks.push(tokio::spawn(future));
    }
}
