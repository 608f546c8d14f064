//! Interactive requests that wait for a person at the Windows desktop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keybearer_core::CallerId;
use tokio::sync::watch;

/// The flows of one proxy that have not come to an end.
#[derive(Clone, Debug, Default)]
pub(super) struct ProxyFlows(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    caller: CallerId,
    given_up: watch::Sender<bool>,
    /// Fails once the flow has ended, because the other end is gone.
    ended: watch::Receiver<()>,
}

/// The end of a flow that works on it. Dropped, the flow has ended.
pub(super) struct Work {
    flows: ProxyFlows,
    given_up: watch::Receiver<bool>,
    _ending: watch::Sender<()>,
}

/// The end of a flow that waits for it. Dropped, it gives the flow up.
pub(super) struct Wait(watch::Sender<bool>);

impl ProxyFlows {
    pub(super) fn begin(&self, caller: CallerId) -> (Wait, Work) {
        let (given_up, sees_given_up) = watch::channel(false);
        let (ending, ended) = watch::channel(());
        self.lock().push(Entry { caller, given_up: given_up.clone(), ended });
        let work = Work { flows: self.clone(), given_up: sees_given_up, _ending: ending };
        (Wait(given_up), work)
    }

    /// Gives up the flows of one caller and waits until they have ended.
    pub(super) async fn give_up(&self, caller: &CallerId) {
        let meant: Vec<watch::Receiver<()>> = {
            let flows = self.lock();
            let meant = flows.iter().filter(|flow| flow.caller == *caller);
            meant
                .map(|flow| {
                    flow.given_up.send_replace(true);
                    flow.ended.clone()
                })
                .collect()
        };
        for mut ended in meant {
            // Nothing is ever sent: this ends when the sender goes.
            let _ = ended.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// Waits until somebody gives up.
    pub(super) async fn given_up(&self) {
        let mut given_up = self.given_up.clone();
        let _ = given_up.wait_for(|given_up| *given_up).await;
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let own = &self.given_up;
        self.flows.lock().retain(|flow| !flow.given_up.subscribe().same_channel(own));
    }
}

impl Wait {
    /// Waits until somebody else gives up.
    pub(super) async fn given_up(&self) {
        let mut given_up = self.0.subscribe();
        let _ = given_up.wait_for(|given_up| *given_up).await;
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}
