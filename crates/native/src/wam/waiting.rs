use std::sync::{Arc, Mutex, PoisonError};

use keybearer_core::{CallerId, Error};
use tokio::sync::Notify;

/// The interactive requests that wait, so that their callers can cancel them.
#[derive(Clone, Debug, Default)]
pub(super) struct PendingSignIns(Arc<Mutex<Vec<Listed>>>);

type Listed = (CallerId, Arc<Notify>);

/// One of them; it is taken off the list when this is dropped.
#[derive(Debug)]
pub(super) struct Wait {
    waiting: PendingSignIns,
    end: Arc<Notify>,
}

impl PendingSignIns {
    pub(super) fn begin(&self, caller: &CallerId) -> Wait {
        let end = Arc::new(Notify::new());
        self.change(|list| list.push((caller.clone(), Arc::clone(&end))));
        Wait { waiting: self.clone(), end }
    }

    /// Ends all of this caller's.
    pub(super) fn cancel(&self, caller: &CallerId) {
        self.change(|list| {
            // A permit is kept for one who does not listen yet.
            list.iter().filter(|(id, _)| id == caller).for_each(|(_, end)| end.notify_one());
        });
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Listed>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Wait {
    /// Ends when the caller cancels, never otherwise.
    pub(super) async fn cancelled(&self) -> Error {
        self.end.notified().await;
        Error::cancelled("the caller cancelled the sign-in")
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waiting.change(|list| list.retain(|(_, end)| !Arc::ptr_eq(end, &self.end)));
    }
}
