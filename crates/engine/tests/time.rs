//! Tests with clocks that are wrong or jump, and machines that sleep: no token is returned after
//! its end, and no valid token is withheld for long.

use std::collections::HashMap;
use std::time::Duration;

use keybearer_core::{Broker, Prompt, Timestamp, Token, TokenSource};
use keybearer_testkit::effects::SeededRandom;
use keybearer_testkit::engine_harness::{EngineHarness, STORAGE, interactive, silent};
use keybearer_testkit::provider::DEV;

const HOUR: Duration = Duration::from_secs(3600);

/// The true end of each token: an hour after it was first seen.
#[derive(Default)]
struct Ends(HashMap<String, Timestamp>);

impl Ends {
    fn check(&mut self, token: &Token, now: Timestamp) {
        let first_seen = self.0.entry(token.access_token.expose().to_owned());
        let ends = *first_seen.or_insert(now + HOUR);
        assert!(
            now < ends,
            "a token was handed out {:?} after its end",
            now.saturating_since(ends)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_token_is_handed_out_after_its_end_whatever_the_clock_does() {
    for seed in 0..5 {
        let world = EngineHarness::new(seed);
        let random = SeededRandom::new(seed);
        let engine = world.connected(DEV).await;
        let mut ends = Ends::default();
        for _ in 0..300 {
            let token = engine.acquire_silent(silent(STORAGE)).await.unwrap();
            ends.check(&token, world.clock.true_time());
            let minutes = |count| Duration::from_secs(60 * count);
            match random.below(8) {
                0 => world.clock.set_wrong_by(3600 - i64::try_from(random.below(7200)).unwrap()),
                1 => world.clock.set_wrong_by(0),
                2 => world.clock.suspend(minutes(random.below(90))),
                _ => world.clock.advance(minutes(random.below(15))).await,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_back_an_hour_costs_no_more_than_usual() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
    world.clock.set_wrong_by(-3600);
    world.http.forget();
    for _ in 0..12 {
        let token = engine.acquire_silent(silent(STORAGE)).await.unwrap();
        let wall = world.effects().clock.now();
        assert!(token.expires_on.saturating_since(wall) <= HOUR, "by the clock as it is now");
        world.clock.advance(Duration::from_secs(600)).await;
    }
    let requests = world.http.token_requests();
    assert!((2..=5).contains(&requests), "{requests} token requests in two hours");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_wakes_up_after_a_day_gets_a_new_token_at_once() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let old = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    world.clock.suspend(24 * HOUR);
    let started = tokio::time::Instant::now();
    let new = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(new.source, TokenSource::Refresh);
    assert!(!new.access_token.same_as(&old.access_token));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ten_minutes_off_is_told_in_the_log_and_does_no_harm() {
    for seconds in [-600, 600] {
        let world = EngineHarness::default();
        world.clock.set_wrong_by(seconds);
        let engine = world.engine().await;
        let token =
            engine.acquire_interactive(interactive(STORAGE, Prompt::IfNeeded)).await.unwrap();
        assert_eq!(token.expires_on, world.effects().clock.now() + HOUR, "by this machine's clock");
        assert!(world.log.text().contains("clock differs from the provider's"));
        let again = engine.acquire_silent(silent(STORAGE)).await.unwrap();
        assert_eq!(again.source, TokenSource::Cache);
    }
}
