//! One flight per query, however many callers of one credential wait for it (promise I6). Unlike
//! the engine's flights these belong to their callers: a flight is cancelled when the last caller
//! leaves.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use tokio::sync::OwnedMutexGuard;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What is under way.
pub(crate) struct Flights<K, T: Clone> {
    board: Mutex<HashMap<K, WeakShared<Work<T>>>>,
    questions: Arc<tokio::sync::Mutex<()>>,
}

/// How a caller came to be on a flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Boarding {
    Began,
    Joined,
}

impl<K: Eq + Hash, T: Clone> Flights<K, T> {
    /// The flight of `key`, begun with `begin` if there is none. It continues as long as a caller
    /// waits for it.
    pub(crate) fn join<Fut>(
        &self,
        key: K,
        begin: impl FnOnce() -> Fut,
    ) -> (Shared<Work<T>>, Boarding)
    where
        Fut: Future<Output = T> + Send + 'static,
    {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.retain(|_, flight| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        if let Some(flight) = board.get(&key).and_then(WeakShared::upgrade) {
            return (flight, Boarding::Joined);
        }
        let work: Work<T> = Box::pin(begin());
        let flight = work.shared();
        board.extend(flight.downgrade().map(|flight| (key, flight)));
        (flight, Boarding::Began)
    }

    /// Waits until no other request of this credential asks the person. As long as the guard that it
    /// returns is held, no other one does.
    pub(crate) async fn question(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.questions).lock_owned().await
    }
}

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self { board: Mutex::default(), questions: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn callers_with_the_same_key_are_answered_by_one_flight_inv_i6() {
        let flights = Flights::<&str, usize>::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let (land, landing) = tokio::sync::watch::channel(());
        let join = |key| {
            let (begun, mut landing) = (Arc::clone(&begun), landing.clone());
            flights.join(key, || async move {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                let _ = landing.changed().await;
                number
            })
        };
        let (one, first) = join("a");
        let (two, second) = join("a");
        let (other, third) = join("b");
        assert_eq!([first, second, third], [Boarding::Began, Boarding::Joined, Boarding::Began]);
        let (one, two, other) = (tokio::spawn(one), tokio::spawn(two), tokio::spawn(other));
        while begun.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        // The one that began it leaves; the other is answered all the same.
        one.abort();
        assert!(one.await.unwrap_err().is_cancelled());
        land.send_replace(());
        let numbers = [two.await.unwrap(), other.await.unwrap()];
        assert!(numbers == [0, 1] || numbers == [1, 0], "{numbers:?}");
        assert_eq!(join("a").1, Boarding::Began, "a flight that has landed is not joined");
    }

    #[tokio::test]
    async fn the_last_that_leaves_takes_the_flight_along() {
        let flights = Flights::<&str, ()>::default();
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let (flight, _) = flights.join("a", || async move {
            let _held = held;
            std::future::pending().await
        });
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(flight);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
