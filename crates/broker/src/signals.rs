use keybearer_core::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a broker politely.
#[derive(Debug)]
pub(crate) struct Signals([Signal; 3]);

impl Signals {
    /// Catches them from now on.
    pub(crate) fn catch() -> Result<Self> {
        let catch = |kind| {
            signal(kind).map_err(|error| Error::internal("catch signals").with_source(error))
        };
        // A broker started from a terminal ends with it only politely.
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hangup] = kinds.map(catch);
        Ok(Self([terminate?, interrupt?, hangup?]))
    }

    /// Waits for one.
    pub(crate) async fn received(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
