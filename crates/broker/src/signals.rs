use keybearer_core::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop a broker after the calls under way.
#[derive(Debug)]
pub(crate) struct Signals([Signal; 3]);

impl Signals {
    /// Handles the signals from now on.
    pub(crate) fn catch() -> Result<Self> {
        let catch = |kind| {
            signal(kind)
                .map_err(|error| Error::internal("could not handle signals").with_source(error))
        };
        // SIGHUP: the terminal that the broker was started from is closed.
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hangup] = kinds.map(catch);
        Ok(Self([terminate?, interrupt?, hangup?]))
    }

    /// Waits for one of the signals.
    pub(crate) async fn received(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
