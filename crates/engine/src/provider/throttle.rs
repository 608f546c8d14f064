//! A provider that names a time to wait (RFC 9110 §10.2.3) gets no request before that time. All
//! programs of a user share one broker, so this holds for all of them. Times are uptimes: a wall
//! clock that jumps neither shortens nor lengthens the wait.

use std::collections::HashMap;
use std::time::Duration;

use keybearer_core::{ClientId, Error};

/// The longest wait; a longer one is cut to this.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Until when each app must wait, by cloud.
#[derive(Default)]
pub(crate) struct Throttle(HashMap<(String, ClientId), Duration>);

impl Throttle {
    /// Notes that the provider asked to wait. Requests overlap, so of several waits the one that
    /// ends last counts.
    pub(crate) fn note(
        &mut self,
        environment: &str,
        client: &ClientId,
        wait: Duration,
        uptime: Duration,
    ) {
        self.0.retain(|_, until| *until > uptime);
        let until = self.0.entry((environment.to_owned(), client.clone())).or_default();
        *until = (*until).max(uptime + wait.min(LONGEST_WAIT));
    }

    /// Fails with the error for the caller if it is too early for a request.
    pub(crate) fn check(
        &self,
        environment: &str,
        client: &ClientId,
        uptime: Duration,
    ) -> Result<(), Error> {
        let until = self.0.get(&(environment.to_owned(), client.clone()));
        let left = until.map_or(Duration::ZERO, |until| until.saturating_sub(uptime));
        if left.is_zero() {
            return Ok(());
        }
        let message =
            format!("{environment} asked to wait {} s before the next request", left.as_secs());
        Err(Error::transient(Some(left), message).with_hint("try again after that time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_asks_before_the_time_the_provider_named() {
        let at = Duration::from_secs;
        let (app, other) = (ClientId::parse("a").unwrap(), ClientId::parse("b").unwrap());
        let mut throttle = Throttle::default();
        throttle.note("host", &app, Duration::from_secs(30), at(100));
        assert!(throttle.check("host", &app, at(129)).is_err());
        assert!(throttle.check("host", &app, at(130)).is_ok());
        assert!(throttle.check("host", &other, at(101)).is_ok());
        assert!(throttle.check("elsewhere", &app, at(101)).is_ok());
    }

    #[test]
    fn a_shorter_wait_does_not_replace_a_longer_one() {
        let at = Duration::from_secs;
        let app = ClientId::parse("a").unwrap();
        let mut throttle = Throttle::default();
        throttle.note("host", &app, at(300), at(100));
        throttle.note("host", &app, at(5), at(101));
        assert!(throttle.check("host", &app, at(399)).is_err());
        throttle.note("host", &app, at(300), at(200));
        assert!(throttle.check("host", &app, at(499)).is_err());
        assert!(throttle.check("host", &app, at(500)).is_ok());
    }
}
