use std::time::Duration;

use tokio::time::sleep;

use crate::activity::Activity;

/// How often background work is checked for its end.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Waits until there has been no call for `limit` and no background work is in flight. Wakes only
/// when the limit may have passed, so an idle broker uses no CPU.
pub(crate) async fn idle(activity: &Activity, in_flight: impl Fn() -> usize, limit: Duration) {
    loop {
        match activity.quiet_for().map(|quiet| limit.saturating_sub(quiet)) {
            Some(Duration::ZERO) if in_flight() == 0 => return,
            Some(Duration::ZERO) => sleep(POLL_INTERVAL).await,
            Some(left) => sleep(left).await,
            None => sleep(limit).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broker_is_idle_when_the_limit_has_passed_since_the_last_call() {
        let (activity, start) = (Activity::new(), Instant::now());
        let call = activity.begin();
        let ended = async {
            sleep(Duration::from_secs(95)).await;
            drop(call);
        };
        tokio::join!(idle(&activity, || 0, Duration::from_secs(30)), ended);
        assert_eq!(start.elapsed(), Duration::from_secs(125));
    }

    #[tokio::test(start_paused = true)]
    async fn work_in_the_background_is_waited_for() {
        let (activity, start) = (Activity::new(), Instant::now());
        let in_flight = || usize::from(start.elapsed() < Duration::from_secs(70));
        idle(&activity, in_flight, Duration::from_secs(30)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(70));
    }
}
