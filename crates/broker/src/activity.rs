use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Counts the calls under way, and notes when the last one ended. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<ActivityState>);

#[derive(Debug)]
struct ActivityState {
    calls: Mutex<Calls>,
    ended: Notify,
}

#[derive(Debug)]
struct Calls {
    active: usize,
    last: Instant,
}

/// A call under way; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ActiveCall(Activity);

impl Activity {
    /// Without a call; the quiet time starts now.
    pub(crate) fn new() -> Self {
        let calls = Mutex::new(Calls { active: 0, last: Instant::now() });
        Self(Arc::new(ActivityState { calls, ended: Notify::new() }))
    }

    /// Counts a call until the returned value is dropped.
    pub(crate) fn begin(&self) -> ActiveCall {
        self.calls().active += 1;
        ActiveCall(self.clone())
    }

    /// How long there has been no call; `None` while there is one.
    pub(crate) fn quiet_for(&self) -> Option<Duration> {
        let calls = self.calls();
        (calls.active == 0).then(|| calls.last.elapsed())
    }

    /// Waits until no call is under way.
    pub(crate) async fn quiet(&self) {
        loop {
            let ended = self.0.ended.notified();
            if self.quiet_for().is_some() {
                return;
            }
            ended.await;
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        let mut calls = self.0.calls();
        calls.active -= 1;
        calls.last = Instant::now();
        drop(calls);
        self.0.0.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn quiet_is_counted_from_the_end_of_the_last_call() {
        let activity = Activity::new();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(activity.quiet_for(), Some(Duration::from_secs(3)));
        let (first, second) = (activity.begin(), activity.begin());
        drop(first);
        assert_eq!(activity.quiet_for(), None);
        let waiting = tokio::spawn({
            let activity = activity.clone();
            async move { activity.quiet().await }
        });
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
        assert_eq!(activity.quiet_for(), Some(Duration::ZERO));
    }
}
