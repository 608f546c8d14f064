use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::CallerId;

/// The interactive requests that are waiting, by caller, so that a caller can cancel its own. Clones
/// share the list.
///
/// Each entry can carry a label, such as the request's correlation id.
pub struct PendingRequests<L = ()>(Arc<State<L>>);

struct State<L> {
    entries: Mutex<Entries<L>>,
    /// An entry was taken off the list.
    ended: Notify,
}

struct Entries<L> {
    next_id: u64,
    by_caller: HashMap<CallerId, Vec<Entry<L>>>,
}

struct Entry<L> {
    id: u64,
    label: L,
    cancelled: watch::Sender<bool>,
}

impl<L> PendingRequests<L> {
    /// Adds a request of this caller. It is on the list until what is returned is dropped.
    pub fn register_as(&self, caller: &CallerId, label: L) -> Pending<L> {
        let cancelled = watch::Sender::new(false);
        let mut entries = self.entries();
        let id = entries.next_id;
        entries.next_id += 1;
        let entry = Entry { id, label, cancelled: cancelled.clone() };
        entries.by_caller.entry(caller.clone()).or_default().push(entry);
        drop(entries);
        let cancellable = Cancellable(cancelled);
        Pending { requests: self.clone(), caller: caller.clone(), id, cancellable }
    }

    /// Cancels all of this caller's. Having none is not an error.
    pub fn cancel(&self, caller: &CallerId) {
        for entry in self.entries().by_caller.get(caller).into_iter().flatten() {
            entry.cancelled.send_replace(true);
        }
    }

    /// Waits until those of this caller's requests that are on the list now have ended.
    pub async fn ended(&self, caller: &CallerId) {
        let ids = |entries: &Entries<L>| -> Vec<u64> {
            let own = entries.by_caller.get(caller).into_iter().flatten();
            own.map(|entry| entry.id).collect()
        };
        let awaited = ids(&self.entries());
        loop {
            // Listens before it looks, so that no end is missed.
            let ended = self.0.ended.notified();
            if !ids(&self.entries()).iter().any(|id| awaited.contains(id)) {
                return;
            }
            ended.await;
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries<L>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Default> PendingRequests<L> {
    /// Adds a request of this caller without a label.
    pub fn register(&self, caller: &CallerId) -> Pending<L> {
        self.register_as(caller, L::default())
    }
}

impl<L: Clone> PendingRequests<L> {
    /// The labels of this caller's requests, the oldest first.
    #[must_use]
    pub fn labels(&self, caller: &CallerId) -> Vec<L> {
        let entries = self.entries();
        let own = entries.by_caller.get(caller).into_iter().flatten();
        own.map(|entry| entry.label.clone()).collect()
    }
}

impl<L> Clone for PendingRequests<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L> Default for PendingRequests<L> {
    fn default() -> Self {
        let entries = Mutex::new(Entries { next_id: 0, by_caller: HashMap::new() });
        Self(Arc::new(State { entries, ended: Notify::new() }))
    }
}

impl<L> fmt::Debug for PendingRequests<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callers = self.entries().by_caller.len();
        f.debug_struct("PendingRequests").field("callers", &callers).finish_non_exhaustive()
    }
}

/// A request on the list of [`PendingRequests`]. Dropped, the request has ended.
pub struct Pending<L = ()> {
    requests: PendingRequests<L>,
    caller: CallerId,
    id: u64,
    cancellable: Cancellable,
}

impl<L> Pending<L> {
    /// Returns once the caller has cancelled, at any time since the request was registered.
    pub async fn cancelled(&self) {
        self.cancellable.cancelled().await;
    }

    /// Another end of the same request, which does not keep it on the list.
    #[must_use]
    pub fn cancellable(&self) -> Cancellable {
        self.cancellable.clone()
    }
}

impl<L> Drop for Pending<L> {
    fn drop(&mut self) {
        let mut entries = self.requests.entries();
        if let Some(own) = entries.by_caller.get_mut(&self.caller) {
            own.retain(|entry| entry.id != self.id);
            if own.is_empty() {
                entries.by_caller.remove(&self.caller);
            }
        }
        drop(entries);
        self.requests.0.ended.notify_waiters();
    }
}

impl<L> fmt::Debug for Pending<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("caller", &self.caller).finish_non_exhaustive()
    }
}

/// One request, to be cancelled or waited for. Clones are about the same request.
#[derive(Clone, Debug)]
pub struct Cancellable(watch::Sender<bool>);

impl Cancellable {
    /// Cancels the request.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Returns once the request has been cancelled.
    pub async fn cancelled(&self) {
        // The sender is `self`, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|cancelled| *cancelled).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_over(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn a_caller_cancels_its_own_requests_only_and_also_those_that_do_not_listen_yet() {
        let requests = PendingRequests::<()>::default();
        let (one, other) = (CallerId::new("one"), CallerId::new("other"));
        let [first, second] = [requests.register(&one), requests.register(&one)];
        let foreign = requests.register(&other);
        requests.cancel(&one);
        assert!(is_over(first.cancelled()) && is_over(second.cancelled()));
        assert!(is_over(first.cancellable().cancelled()));
        assert!(!is_over(foreign.cancelled()));
        assert!(!is_over(requests.register(&one).cancelled()), "a later request is not meant");
    }

    #[test]
    fn the_end_of_requests_can_be_waited_for() {
        let requests = PendingRequests::default();
        let caller = CallerId::new("c");
        let [first, second] = [1, 2].map(|label| requests.register_as(&caller, label));
        assert_eq!(requests.labels(&caller), [1, 2]);
        let mut ended = pin!(requests.ended(&caller));
        let mut context = Context::from_waker(Waker::noop());
        assert!(ended.as_mut().poll(&mut context).is_pending());
        let _later = requests.register_as(&caller, 3);
        drop(first);
        assert!(ended.as_mut().poll(&mut context).is_pending());
        drop(second);
        assert!(ended.as_mut().poll(&mut context).is_ready(), "a later request is not awaited");
        assert_eq!(requests.labels(&caller), [3]);
    }
}
