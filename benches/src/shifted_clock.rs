use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::Timestamp;
use keybearer_engine::Clock;
use keybearer_host::SystemClock;
use keybearer_testkit::effects::ManualClock;

/// The real clock, moved to the time of the provider in memory. Reading it costs as much as reading the
/// real one.
#[derive(Clone, Copy, Debug)]
pub struct ShiftedClock {
    millis: i64,
}

impl Default for ShiftedClock {
    fn default() -> Self {
        Self { millis: ManualClock::START.unix_millis() - SystemClock.now().unix_millis() }
    }
}

#[async_trait]
impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(SystemClock.now().unix_millis() + self.millis)
    }

    fn uptime(&self) -> Duration {
        SystemClock.uptime()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}
