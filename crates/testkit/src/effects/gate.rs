use std::sync::Arc;

use tokio::sync::watch;

/// A point at which a double waits until the test lets it continue.
#[derive(Clone, Debug)]
pub struct Gate(Arc<GateState>);

#[derive(Debug)]
struct GateState {
    arrived: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(GateState {
            arrived: watch::Sender::new(0),
            open: watch::Sender::new(false),
        }))
    }
}

impl Gate {
    /// Waits until so many tasks have arrived at the gate since it was made.
    pub async fn reached(&self, count: usize) {
        // Cannot fail: this value owns the sender.
        let _ = self.0.arrived.subscribe().wait_for(|arrived| *arrived >= count).await;
    }

    /// The number of tasks that have arrived.
    #[must_use]
    pub fn arrivals(&self) -> usize {
        *self.0.arrived.borrow()
    }

    /// Opens the gate for all waiting and later tasks.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        self.0.arrived.send_modify(|arrived| *arrived += 1);
        // Cannot fail: this value owns the sender.
        let _ = self.0.open.subscribe().wait_for(|open| *open).await;
    }
}
