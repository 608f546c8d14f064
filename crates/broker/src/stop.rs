use tokio::sync::watch;

/// Why the broker stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopReason {
    /// It received a signal.
    Signal,
    /// A client asked it to, as `keybearer broker stop` does.
    Asked,
    /// There was no call for the configured time.
    Idle,
    /// Its socket was removed or replaced, so no new client finds it.
    SocketGone,
}

impl StopReason {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "received a signal",
            Self::Asked => "asked to stop",
            Self::Idle => "idle",
            Self::SocketGone => "the socket was removed",
        }
    }
}

/// How far the broker has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Serving,
    /// No new clients are accepted; calls under way continue.
    Leaving,
    /// Connections are closed.
    Closing,
}

/// The request to stop, for all parts of the process. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Sender<(Phase, Option<StopReason>)>);

impl Stop {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new((Phase::Serving, None)))
    }

    /// Asks the broker to stop; the first reason counts.
    pub(crate) fn now(&self, reason: StopReason) {
        self.0.send_if_modified(|(phase, why)| {
            let first = *phase == Phase::Serving;
            if first {
                (*phase, *why) = (Phase::Leaving, Some(reason));
            }
            first
        });
    }

    /// Asks for all connections to be closed.
    pub(crate) fn close(&self) {
        self.0.send_modify(|(phase, _)| *phase = Phase::Closing);
    }

    /// Waits until the broker is asked to stop.
    pub(crate) async fn wanted(&self) -> StopReason {
        let mut changes = self.0.subscribe();
        // The sender is this value itself, so the wait cannot fail.
        let state = changes.wait_for(|(_, why)| why.is_some()).await;
        state.ok().and_then(|state| state.1).unwrap_or(StopReason::Asked)
    }

    /// Waits until connections must be closed.
    pub(crate) async fn closing(&self) {
        let mut changes = self.0.subscribe();
        let _ = changes.wait_for(|(phase, _)| *phase == Phase::Closing).await;
    }
}
