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
/// Tests can set the machine's wall clock wrong and suspend the machine. As on a real machine, neither
/// affects the timers.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<ClockState>);

#[derive(Debug)]
struct ClockState {
    started: Instant,
    suspended_millis: AtomicI64,
    wrong_by_millis: AtomicI64,
}

impl ManualClock {
    /// The start of the simulation, 2027-01-15T08:00:00Z.
    pub const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    /// The correct time, for example the provider's.
    #[must_use]
    pub fn true_time(&self) -> Timestamp {
        let elapsed = Self::START + self.0.started.elapsed();
        offset(elapsed, self.0.suspended_millis.load(Ordering::SeqCst))
    }

    /// Advances the time and runs everything that is due.
    pub async fn advance(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
        settle().await;
    }

    /// Sets the error of the machine's wall clock in seconds; negative is behind.
    pub fn set_wrong_by(&self, seconds: i64) {
        self.0.wrong_by_millis.store(seconds * 1000, Ordering::SeqCst);
    }

    /// Suspends the machine: the wall clock continues, the timers do not.
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

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

fn offset(time: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(time.unix_millis() + millis)
}

/// Runs every task until none can continue without an advance of the time.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
