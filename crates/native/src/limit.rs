//! Waiting until a deadline, by tokio's clock, which tests can pause.

use std::future::Future;
use std::time::{Duration, Instant};

use keybearer_core::{Deadline, Error, Result};

/// The moment that deadlines are compared with.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The deadline of a request that is made now.
#[must_use]
pub fn deadline_after(limit: Duration) -> Deadline {
    Deadline::after(limit, now())
}

/// The result of `work`, or the error `late` if the deadline comes first; `work` is then dropped.
///
/// # Errors
/// Those of `work`, and `late`.
pub async fn within<T>(
    deadline: Deadline,
    late: impl FnOnce() -> Error,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let ended = tokio::time::timeout(deadline.left(now()), work).await;
    ended.unwrap_or_else(|_| Err(late()))
}
