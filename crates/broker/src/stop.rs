use tokio::sync::watch;

/// Why the broker ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "each is logged in words")]
pub enum StopReason {
    /// It was told to by a signal.
    Signal,
    /// It was asked to, as by `keybearer broker stop`.
    Asked,
    /// Nobody wanted anything for the time given.
    Idle,
    /// Its socket was removed or replaced, so no new client finds it.
    SocketGone,
}

impl StopReason {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "a signal",
            Self::Asked => "asked to",
            Self::Idle => "nothing to do",
            Self::SocketGone => "the socket was removed",
        }
    }
}

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Serving,
    /// No new clients; calls under way go on.
    Leaving,
    /// Connections end.
    Closing,
}

/// Tells everything in the process that it is time to go. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Sender<(Phase, Option<StopReason>)>);

impl Stop {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new((Phase::Serving, None)))
    }

    /// Asks everything to end; the first reason counts.
    pub(crate) fn now(&self, reason: StopReason) {
        self.0.send_if_modified(|(phase, why)| {
            let first = *phase == Phase::Serving;
            if first {
                (*phase, *why) = (Phase::Leaving, Some(reason));
            }
            first
        });
    }

    /// Asks connections to end.
    pub(crate) fn close(&self) {
        self.0.send_modify(|(phase, _)| *phase = Phase::Closing);
    }

    /// Waits until it is time to go.
    pub(crate) async fn wanted(&self) -> StopReason {
        let mut changes = self.0.subscribe();
        // The sender is this value itself, so the wait cannot fail.
        let state = changes.wait_for(|(_, why)| why.is_some()).await;
        state.ok().and_then(|state| state.1).unwrap_or(StopReason::Asked)
    }

    /// Waits until connections should end.
    pub(crate) async fn closing(&self) {
        let mut changes = self.0.subscribe();
        let _ = changes.wait_for(|(phase, _)| *phase == Phase::Closing).await;
    }
}
