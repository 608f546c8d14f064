use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A page that is reloaded is back by then; closing it is known soon enough.
const GRACE: Duration = Duration::from_secs(1);
/// A page that was loaded again connects by then, on a busy machine.
const LOADING: Duration = Duration::from_secs(5);

/// The person is gone: no answer will come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Departure {
    /// They said so.
    GaveUp,
    /// They closed the page that stays open during the sign-in.
    Closed,
}

/// Knows whether the person is still there, from the page that stays open during a sign-in.
///
/// The page keeps a request open, which ends with the page. That alone does not mean that the person
/// has left: the page may be reloaded, it may have gone on to the provider itself (no script, no
/// second tab), or never have been able to connect. Only a page that was connected, is not back after
/// a moment, and did not say that it goes elsewhere, was closed.
#[derive(Debug)]
pub(super) struct TabWatch {
    state: Mutex<State>,
    departure: watch::Sender<Option<Departure>>,
}

#[derive(Debug)]
struct State {
    connected: usize,
    /// The page has become the provider's, and cannot be seen any more.
    elsewhere: bool,
    /// Nobody is missed before.
    patience: Instant,
}

/// A page that is open, as long as this value lives.
#[derive(Debug)]
pub(super) struct Connected(Arc<TabWatch>);

impl TabWatch {
    pub(super) fn new() -> (Arc<Self>, watch::Receiver<Option<Departure>>) {
        let (departure, departed) = watch::channel(None);
        let state = State { connected: 0, elsewhere: false, patience: Instant::now() };
        (Arc::new(Self { state: Mutex::new(state), departure }), departed)
    }

    /// The page was asked for: it is about to connect.
    pub(super) fn loading(&self) {
        let mut state = self.state();
        state.patience = state.patience.max(Instant::now() + LOADING);
    }

    /// The page is open.
    pub(super) fn connect(self: &Arc<Self>) -> Connected {
        let mut state = self.state();
        state.connected += 1;
        state.patience = Instant::now();
        drop(state);
        Connected(Arc::clone(self))
    }

    /// The page itself goes on to the provider.
    pub(super) fn goes_elsewhere(&self) {
        self.state().elsewhere = true;
    }

    /// The person gives up.
    pub(super) fn give_up(&self) {
        self.departure.send_replace(Some(Departure::GaveUp));
    }

    /// Whether the person has left, and how.
    pub(super) fn departure(&self) -> Option<Departure> {
        *self.departure.borrow()
    }

    /// Waits until the person is missed or somebody is there.
    async fn miss(self: Arc<Self>) {
        loop {
            let until = {
                let state = self.state();
                if state.connected > 0 || state.elsewhere {
                    return;
                }
                state.patience
            };
            if until <= Instant::now() {
                self.departure.send_if_modified(|departure| {
                    departure.is_none() && departure.replace(Departure::Closed).is_none()
                });
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.connected -= 1;
        state.patience = state.patience.max(Instant::now() + GRACE);
        if let (0, Ok(runtime)) = (state.connected, tokio::runtime::Handle::try_current()) {
            runtime.spawn(Arc::clone(&self.0).miss());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn elapse(seconds: f32) {
        tokio::time::sleep(Duration::from_secs_f32(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_closed_is_missed_within_two_seconds() {
        for seconds in [0.0, 20.0] {
            let (tab_watch, mut departed) = TabWatch::new();
            tab_watch.loading();
            let page = tab_watch.connect();
            elapse(seconds).await;
            let closed = Instant::now();
            drop(page);
            departed.changed().await.unwrap();
            assert_eq!(*departed.borrow(), Some(Departure::Closed));
            assert!(closed.elapsed() < Duration::from_secs(2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_back_goes_elsewhere_or_never_connected_is_not_missed() {
        type Conduct = fn(&Arc<TabWatch>) -> Option<Connected>;
        let conducts: [(&str, Conduct); 4] = [
            ("never connected", |tab_watch| {
                tab_watch.loading();
                None
            }),
            ("one of two is closed", |tab_watch| {
                drop(tab_watch.connect());
                Some(tab_watch.connect())
            }),
            ("goes on in the same tab", |tab_watch| {
                let page = tab_watch.connect();
                tab_watch.goes_elsewhere();
                drop(page);
                None
            }),
            ("goes on in the same tab, in the other order", |tab_watch| {
                drop(tab_watch.connect());
                tab_watch.goes_elsewhere();
                None
            }),
        ];
        for (name, conduct) in conducts {
            let (tab_watch, departed) = TabWatch::new();
            let page = conduct(&tab_watch);
            elapse(60.0).await;
            assert_eq!(*departed.borrow(), None, "{name}");
            drop(page);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_reloaded_has_time_to_come_back() {
        let (tab_watch, departed) = TabWatch::new();
        for _ in 0..3 {
            let page = tab_watch.connect();
            elapse(10.0).await;
            drop(page);
            elapse(0.5).await;
            tab_watch.loading();
            elapse(3.0).await;
            assert_eq!(*departed.borrow(), None);
        }
        // It was loaded and closed before it could connect.
        elapse(3.0).await;
        assert_eq!(*departed.borrow(), Some(Departure::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gave_up_is_not_said_to_have_closed_the_page() {
        let (tab_watch, departed) = TabWatch::new();
        let page = tab_watch.connect();
        tab_watch.give_up();
        drop(page);
        elapse(10.0).await;
        assert_eq!(*departed.borrow(), Some(Departure::GaveUp));
    }
}
