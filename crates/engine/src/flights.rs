//! Concurrent requests with the same key share one piece of work, a *flight* (invariant I6).
//!
//! A request *joins* the flight of its key, and so starts it if there is none; it gets a *ticket*,
//! with which it waits until the flight *lands*, that is, until the shared work has a result.
//!
//! A flight runs on its own. It does not end when a request drops its ticket: a refresh token that
//! the provider has already rotated is still saved. A flight that waits for a person can notice
//! that all tickets are gone, and then gives up.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use keybearer_core::{Error, Result};
use tokio::sync::watch;

use crate::effects::Spawner;

/// The flights under way, by key.
pub(crate) struct Flights<K, T> {
    spawner: Arc<dyn Spawner>,
    board: Board<K, T>,
}

type Board<K, T> = Arc<Mutex<HashMap<K, Arc<Flight<T>>>>>;

struct Flight<T> {
    landed: watch::Receiver<Option<Result<T>>>,
    waiting: watch::Sender<usize>,
}

impl<K, T> Flights<K, T> {
    /// Flights that `spawner` runs.
    pub(crate) fn new(spawner: Arc<dyn Spawner>) -> Self {
        Self { spawner, board: Arc::default() }
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the flight of `key`, starting one with `start` if there is none.
    pub(crate) fn join<F, Fut>(&self, key: &K, start: F) -> Ticket<K, T>
    where
        F: FnOnce(Abandoned) -> Fut,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let mut flights = lock(&self.board);
        if let Some(flight) = flights.get(key) {
            flight.waiting.send_modify(|count| *count += 1);
            return self.ticket(key, Arc::clone(flight));
        }
        let (landing, landed) = watch::channel(None);
        let (waiting, abandoned) = watch::channel(1);
        let flight = Arc::new(Flight { landed, waiting });
        flights.insert(key.clone(), Arc::clone(&flight));
        drop(flights);

        let future = start(Abandoned(abandoned));
        let board = Arc::clone(&self.board);
        let removal = Removal { board, key: key.clone(), flight: Arc::clone(&flight) };
        self.spawner.spawn(Box::pin(async move {
            let result = future.await;
            drop(removal);
            landing.send_replace(Some(result));
        }));
        self.ticket(key, flight)
    }

    /// How many flights are under way.
    pub(crate) fn len(&self) -> usize {
        lock(&self.board).len()
    }

    fn ticket(&self, key: &K, flight: Arc<Flight<T>>) -> Ticket<K, T> {
        Ticket { board: Arc::clone(&self.board), key: key.clone(), flight }
    }
}

/// The right to the result of a flight. Dropping it leaves the flight.
pub(crate) struct Ticket<K: Eq + Hash, T> {
    board: Board<K, T>,
    key: K,
    flight: Arc<Flight<T>>,
}

impl<K: Eq + Hash, T: Clone> Ticket<K, T> {
    /// Waits until the flight lands.
    pub(crate) async fn landed(&self) -> Result<T> {
        let mut landed = self.flight.landed.clone();
        match landed.wait_for(Option::is_some).await {
            Ok(result) => match &*result {
                Some(result) => result.clone(),
                None => Err(Error::internal("the shared work ended without a result")),
            },
            Err(_) => Err(Error::internal("the shared work stopped before it had a result")),
        }
    }
}

impl<K: Eq + Hash, T> Drop for Ticket<K, T> {
    fn drop(&mut self) {
        let mut flights = lock(&self.board);
        self.flight.waiting.send_modify(|count| *count -= 1);
        // Later requests must not join a flight that is about to give up. A flight that has dropped
        // its `Abandoned` does not give up.
        let ignored = self.flight.waiting.receiver_count() == 0;
        if *self.flight.waiting.borrow() == 0 && !ignored {
            remove(&mut flights, &self.key, &self.flight);
        }
    }
}

/// Lets a flight notice that all its tickets are gone. A flight that drops this runs to its end
/// regardless, and later requests can still join it.
pub(crate) struct Abandoned(watch::Receiver<usize>);

impl Abandoned {
    /// Returns once all tickets are gone.
    pub(crate) async fn wait(&mut self) {
        // The only error is that the flight has been dropped, and this runs inside the flight.
        let _ = self.0.wait_for(|count| *count == 0).await;
    }
}

/// Removes a flight from the board when its work ends in any way, a panic included.
struct Removal<K: Eq + Hash, T> {
    board: Board<K, T>,
    key: K,
    flight: Arc<Flight<T>>,
}

impl<K: Eq + Hash, T> Drop for Removal<K, T> {
    fn drop(&mut self) {
        remove(&mut lock(&self.board), &self.key, &self.flight);
    }
}

fn remove<K: Eq + Hash, T>(
    flights: &mut HashMap<K, Arc<Flight<T>>>,
    key: &K,
    flight: &Arc<Flight<T>>,
) {
    if flights.get(key).is_some_and(|own| Arc::ptr_eq(own, flight)) {
        flights.remove(key);
    }
}

/// Locks a mutex. A poisoned one is still consistent: no code in this crate panics halfway through
/// a change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[derive(Debug)]
    struct Tokio;

    impl Spawner for Tokio {
        fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
            tokio::spawn(future);
        }
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_flight_inv_i6() {
        let flights = Flights::new(Arc::new(Tokio));
        let started = Arc::new(AtomicUsize::new(0));
        let (go, wait) = oneshot::channel::<()>();
        let mut wait = Some(wait);
        let mut join = || {
            let (started, wait) = (Arc::clone(&started), wait.take());
            flights.join(&"key", |_| async move {
                started.fetch_add(1, Ordering::SeqCst);
                if let Some(wait) = wait {
                    let _ = wait.await;
                }
                Ok(42)
            })
        };
        let tickets: Vec<_> = (0..100).map(|_| join()).collect();
        go.send(()).unwrap();
        for ticket in &tickets {
            assert_eq!(ticket.landed().await.unwrap(), 42);
        }
        assert_eq!(started.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_flight_lands_although_its_callers_have_left() {
        let flights = Flights::new(Arc::new(Tokio));
        let (done, landed) = oneshot::channel();
        let ticket = flights.join(&"key", |_| async move {
            let _ = done.send(());
            Ok(1)
        });
        drop(ticket);
        landed.await.unwrap();
    }

    #[tokio::test]
    async fn a_flight_learns_that_the_last_caller_has_left_and_takes_no_new_ones() {
        let flights = Flights::new(Arc::new(Tokio));
        let (done, gave_up) = oneshot::channel();
        let start = |done: oneshot::Sender<()>| {
            |mut abandoned: Abandoned| async move {
                abandoned.wait().await;
                let _ = done.send(());
                Ok(1)
            }
        };
        let first = flights.join(&"key", start(done));
        let second = flights.join(&"key", |_| async { Ok(2) });
        drop(first);
        drop(second);
        let third = flights.join(&"key", |_| async { Ok(3) });
        gave_up.await.unwrap();
        assert_eq!(third.landed().await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_flight_that_ends_without_a_result_is_an_error_and_makes_room() {
        #[derive(Debug, Default)]
        struct DropsTheFirst(AtomicUsize);
        impl Spawner for DropsTheFirst {
            fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
                match self.0.fetch_add(1, Ordering::SeqCst) {
                    0 => drop(future),
                    _ => Tokio.spawn(future),
                }
            }
        }
        let flights = Flights::new(Arc::new(DropsTheFirst::default()));
        let lost = flights.join(&"key", |_| async { Ok(1) });
        assert!(lost.landed().await.is_err());
        let next = flights.join(&"key", |_| async { Ok(2) });
        assert_eq!(next.landed().await.unwrap(), 2);
    }
}
