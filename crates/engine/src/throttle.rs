//! When a provider says how long to wait, nobody asks it again before (RFC 9110 §10.2.3). All
//! processes of a person go through the one broker, so this holds for all of them.

use std::collections::HashMap;
use std::time::Duration;

use keybearer_core::{ClientId, Error, Timestamp};

/// A provider that asks for more is taken to mean this.
const LONGEST: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(crate) struct Throttle(HashMap<(String, ClientId), Timestamp>);

impl Throttle {
    /// Notes that the provider asked to wait.
    pub(crate) fn note(
        &mut self,
        environment: &str,
        client: &ClientId,
        wait: Duration,
        now: Timestamp,
    ) {
        self.0.retain(|_, until| *until > now);
        self.0.insert((environment.to_owned(), client.clone()), now + wait.min(LONGEST));
    }

    /// The error to answer with instead of asking, if it is too early to ask.
    pub(crate) fn check(
        &self,
        environment: &str,
        client: &ClientId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let until = self.0.get(&(environment.to_owned(), client.clone()));
        // A clock that was set back must not turn a minute into a day.
        let left = until.map_or(Duration::ZERO, |until| until.saturating_since(now)).min(LONGEST);
        if left.is_zero() {
            return Ok(());
        }
        let message = format!("{environment} asked not to be asked again for {} s", left.as_secs());
        Err(Error::transient(Some(left), message).with_hint("wait that long and try again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_asks_before_the_time_the_provider_named() {
        let at = Timestamp::from_unix_seconds;
        let (app, other) = (ClientId::parse("a").unwrap(), ClientId::parse("b").unwrap());
        let mut throttle = Throttle::default();
        throttle.note("host", &app, Duration::from_secs(30), at(100));
        assert!(throttle.check("host", &app, at(129)).is_err());
        assert!(throttle.check("host", &app, at(130)).is_ok());
        assert!(throttle.check("host", &other, at(101)).is_ok());
        assert!(throttle.check("elsewhere", &app, at(101)).is_ok());
    }
}
