//! The interactive requests that are waiting, by caller, so that a caller can cancel its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use keybearer_core::CallerId;
use tokio::sync::Notify;

use crate::flights::lock;

type Signals = HashMap<CallerId, Vec<Arc<Notify>>>;

#[derive(Default)]
pub(crate) struct PendingRequests(Arc<Mutex<Signals>>);

impl PendingRequests {
    pub(crate) fn register(&self, caller: CallerId) -> Registration {
        let signal = Arc::new(Notify::new());
        lock(&self.0).entry(caller.clone()).or_default().push(Arc::clone(&signal));
        Registration { waiting: Arc::clone(&self.0), caller, signal }
    }

    /// Signals every waiting request of the caller.
    pub(crate) fn cancel(&self, caller: &CallerId) {
        for signal in lock(&self.0).get(caller).into_iter().flatten() {
            signal.notify_one();
        }
    }
}

/// A waiting request; it is forgotten when this is dropped.
pub(crate) struct Registration {
    waiting: Arc<Mutex<Signals>>,
    caller: CallerId,
    signal: Arc<Notify>,
}

impl Registration {
    pub(crate) async fn cancelled(&self) {
        self.signal.notified().await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting);
        if let Some(signals) = waiting.get_mut(&self.caller) {
            signals.retain(|signal| !Arc::ptr_eq(signal, &self.signal));
            if signals.is_empty() {
                waiting.remove(&self.caller);
            }
        }
    }
}
