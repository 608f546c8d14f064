use std::time::{Duration, Instant};

/// The moment by which a request must have ended (promise I7).
///
/// The caller fixes the moment once, and every layer below reads the same one, so no layer has to
/// measure how much of a limit the layers above it have used. Only a process boundary carries a
/// duration: what is left when the message is written, which becomes a deadline again when the
/// message is received.
///
/// This crate reads no clock, so `now` is an argument. Callers pass the instant of tokio's clock,
/// which tests can pause.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// No deadline at all.
    pub const NEVER: Self = Self(None);

    /// The moment `limit` after `now`. A limit that no clock can count to is [`NEVER`](Self::NEVER).
    #[must_use]
    pub fn after(limit: Duration, now: Instant) -> Self {
        Self(now.checked_add(limit))
    }

    /// How much time is left: nothing once it has passed, and [`Duration::MAX`] for
    /// [`NEVER`](Self::NEVER).
    #[must_use]
    pub fn left(self, now: Instant) -> Duration {
        self.0.map_or(Duration::MAX, |moment| moment.saturating_duration_since(now))
    }

    /// Whether no time is left.
    #[must_use]
    pub fn has_passed(self, now: Instant) -> bool {
        self.left(now).is_zero()
    }

    /// A moment that much later, for a layer that waits for the answer of the layer below, see
    /// [`grace`](crate::grace).
    #[must_use]
    pub fn extended_by(self, grace: Duration) -> Self {
        Self(self.0.and_then(|moment| moment.checked_add(grace)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any instant will do, and std can make none from nothing.
    #[allow(clippy::disallowed_methods, reason = "only a starting point")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn what_is_left_shrinks_to_nothing() {
        let start = now();
        let deadline = Deadline::after(Duration::from_secs(5), start);
        assert_eq!(deadline.left(start), Duration::from_secs(5));
        assert_eq!(deadline.left(start + Duration::from_secs(4)), Duration::from_secs(1));
        assert_eq!(deadline.left(start + Duration::from_secs(6)), Duration::ZERO);
        assert!(!deadline.has_passed(start));
        assert!(deadline.has_passed(start + Duration::from_secs(5)));
        let extended = deadline.extended_by(Duration::from_secs(1));
        assert_eq!(extended.left(start), Duration::from_secs(6));
    }

    #[test]
    fn a_limit_beyond_the_clock_never_passes() {
        let start = now();
        let deadline = Deadline::after(Duration::MAX, start);
        assert_eq!(deadline, Deadline::NEVER);
        assert!(!deadline.has_passed(start + Duration::from_secs(1 << 30)));
        assert_eq!(deadline.extended_by(Duration::from_secs(1)), Deadline::NEVER);
    }
}
