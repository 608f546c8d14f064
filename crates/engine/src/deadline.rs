//! Invariant I7: no wait without a deadline.

use std::future::Future;
use std::pin::pin;

use futures_util::future::{Either, select};
use keybearer_core::{Deadline, Error, Result};

use crate::effects::Clock;

/// The result of `future`, or `TimedOut` at the deadline.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    deadline: Deadline,
    what: &str,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    // The clock is read when the timer is first polled: an answer from the cache never needs it.
    let timer = async {
        let limit = deadline.left(clock.instant());
        clock.sleep(limit).await;
        limit
    };
    match select(pin!(future), pin!(timer)).await {
        Either::Left((result, _)) => result,
        Either::Right((limit, _)) => {
            Err(Error::timed_out(format!("{what} did not end within {:.1} s", limit.as_secs_f32())))
        }
    }
}

/// The result of `future`, or `Cancelled` when `signal` comes first.
pub(crate) async fn unless_cancelled<T>(
    signal: impl Future<Output = ()>,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    match select(pin!(signal), pin!(future)).await {
        Either::Left(((), _)) => Err(Error::cancelled("the request was cancelled")),
        Either::Right((result, _)) => result,
    }
}
