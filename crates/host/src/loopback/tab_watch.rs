use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A page that is reloaded requests the server again within this time.
const RELOAD_GRACE: Duration = Duration::from_secs(1);
/// A page that was requested connects within this time, even on a busy machine.
const LOAD_GRACE: Duration = Duration::from_secs(5);

/// How the person abandoned a sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Abandonment {
    /// They cancelled it.
    Cancelled,
    /// They closed the page that stays open during the sign-in.
    PageClosed,
}

/// Notices that the person closes the page that stays open during a sign-in.
///
/// The page keeps a request open, which ends when the page is closed. The end of the request alone is
/// not enough: the page may be reloaded, may have navigated to the provider itself (without scripts or
/// a second tab), or may never have connected. A page counts as closed only if it was connected, does
/// not connect again in time, and did not announce that it navigates away.
#[derive(Debug)]
pub(super) struct TabWatch {
    state: Mutex<State>,
    abandonment: watch::Sender<Option<Abandonment>>,
}

#[derive(Debug)]
struct State {
    open_pages: usize,
    /// The tab shows the provider's page now, and can no longer be watched.
    navigated_away: bool,
    /// The page does not count as closed before this.
    missed_from: Instant,
}

/// An open page; dropping this value means that the page was closed.
#[derive(Debug)]
pub(super) struct OpenPage(Arc<TabWatch>);

impl TabWatch {
    pub(super) fn new() -> (Arc<Self>, watch::Receiver<Option<Abandonment>>) {
        let (abandonment, abandoned) = watch::channel(None);
        let state = State { open_pages: 0, navigated_away: false, missed_from: Instant::now() };
        (Arc::new(Self { state: Mutex::new(state), abandonment }), abandoned)
    }

    /// The page was requested, so it will connect soon.
    pub(super) fn loading(&self) {
        let mut state = self.state();
        state.missed_from = state.missed_from.max(Instant::now() + LOAD_GRACE);
    }

    /// Notes that the page is open.
    pub(super) fn open_page(self: &Arc<Self>) -> OpenPage {
        let mut state = self.state();
        state.open_pages += 1;
        state.missed_from = Instant::now();
        drop(state);
        OpenPage(Arc::clone(self))
    }

    /// The tab navigates to the provider.
    pub(super) fn navigates_away(&self) {
        self.state().navigated_away = true;
    }

    /// The person cancels the sign-in.
    pub(super) fn cancel(&self) {
        self.abandonment.send_replace(Some(Abandonment::Cancelled));
    }

    /// How the person abandoned the sign-in, if they did.
    pub(super) fn abandonment(&self) -> Option<Abandonment> {
        *self.abandonment.borrow()
    }

    /// Waits until the page counts as closed, or is open again.
    async fn watch_for_absence(self: Arc<Self>) {
        loop {
            let until = {
                let state = self.state();
                if state.open_pages > 0 || state.navigated_away {
                    return;
                }
                state.missed_from
            };
            if until <= Instant::now() {
                self.abandonment.send_if_modified(|abandonment| {
                    abandonment.is_none() && abandonment.replace(Abandonment::PageClosed).is_none()
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

impl Drop for OpenPage {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open_pages -= 1;
        state.missed_from = state.missed_from.max(Instant::now() + RELOAD_GRACE);
        if let (0, Ok(runtime)) = (state.open_pages, tokio::runtime::Handle::try_current()) {
            runtime.spawn(Arc::clone(&self.0).watch_for_absence());
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
            let (tab_watch, mut abandoned) = TabWatch::new();
            tab_watch.loading();
            let page = tab_watch.open_page();
            elapse(seconds).await;
            let closed = Instant::now();
            drop(page);
            abandoned.changed().await.unwrap();
            assert_eq!(*abandoned.borrow(), Some(Abandonment::PageClosed));
            assert!(closed.elapsed() < Duration::from_secs(2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_back_goes_elsewhere_or_never_connected_is_not_missed() {
        type Conduct = fn(&Arc<TabWatch>) -> Option<OpenPage>;
        let conducts: [(&str, Conduct); 4] = [
            ("never open_pages", |tab_watch| {
                tab_watch.loading();
                None
            }),
            ("one of two is closed", |tab_watch| {
                drop(tab_watch.open_page());
                Some(tab_watch.open_page())
            }),
            ("navigates in the same tab", |tab_watch| {
                let page = tab_watch.open_page();
                tab_watch.navigates_away();
                drop(page);
                None
            }),
            ("navigates in the same tab, in the other order", |tab_watch| {
                drop(tab_watch.open_page());
                tab_watch.navigates_away();
                None
            }),
        ];
        for (name, conduct) in conducts {
            let (tab_watch, abandoned) = TabWatch::new();
            let page = conduct(&tab_watch);
            elapse(60.0).await;
            assert_eq!(*abandoned.borrow(), None, "{name}");
            drop(page);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_reloaded_has_time_to_come_back() {
        let (tab_watch, abandoned) = TabWatch::new();
        for _ in 0..3 {
            let page = tab_watch.open_page();
            elapse(10.0).await;
            drop(page);
            elapse(0.5).await;
            tab_watch.loading();
            elapse(3.0).await;
            assert_eq!(*abandoned.borrow(), None);
        }
        // It was loaded and closed before it could connect.
        elapse(3.0).await;
        assert_eq!(*abandoned.borrow(), Some(Abandonment::PageClosed));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gave_up_is_not_said_to_have_closed_the_page() {
        let (tab_watch, abandoned) = TabWatch::new();
        let page = tab_watch.open_page();
        tab_watch.cancel();
        drop(page);
        elapse(10.0).await;
        assert_eq!(*abandoned.borrow(), Some(Abandonment::Cancelled));
    }
}
