use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::Timestamp;
use keybearer_engine::Clock;
use tokio::time::Instant;

/// A clock over the runtime's paused time. Nothing sleeps for real: when every task is idle, time
/// jumps to the next timer. Use it under `#[tokio::test(start_paused = true)]`.
///
/// The machine's wall clock may be set wrong, and the machine may be suspended; both leave the
/// timers alone, as with a real machine.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<ClockState>);

#[derive(Debug)]
struct ClockState {
    started: Instant,
    suspended_millis: AtomicI64,
    wrong_by_millis: AtomicI64,
}

impl ManualClock {
    /// When the simulation begins, 2027-01-15T08:00:00Z.
    pub const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    /// The time of everybody else, such as the provider.
    #[must_use]
    pub fn true_time(&self) -> Timestamp {
        let elapsed = Self::START + self.0.started.elapsed();
        offset(elapsed, self.0.suspended_millis.load(Ordering::SeqCst))
    }

    /// Lets time go by, and everything that is due happen.
    pub async fn advance(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
        settle().await;
    }

    /// Sets the machine's wall clock off by so many seconds; negative is behind.
    pub fn set_wrong_by(&self, seconds: i64) {
        self.0.wrong_by_millis.store(seconds * 1000, Ordering::SeqCst);
    }

    /// The machine sleeps: the wall clock goes on, the timers do not.
    pub fn suspend(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.0.suspended_millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self(Arc::new(ClockState {
            started: Instant::now(),
            suspended_millis: AtomicI64::new(0),
            wrong_by_millis: AtomicI64::new(0),
        }))
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        offset(self.true_time(), self.0.wrong_by_millis.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        self.true_time().saturating_since(Self::START)
    }

    fn instant(&self) -> std::time::Instant {
        Instant::now().into_std()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

fn offset(time: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(time.unix_millis() + millis)
}

/// Lets every task run until none can go on without time going by.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
