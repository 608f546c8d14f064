//! Tests of silent requests: single flight, renewal, Retry-After, faults of the provider.
#![allow(clippy::expect_used, reason = "tests")]

use std::time::Duration;

use futures_util::future::join_all;
use keybearer_core::{
    AccountChoice, Authority, Broker, Capabilities, ErrorKind, Result, SilentRequest, Token,
    TokenSource,
};
use keybearer_engine::Engine;
use keybearer_testkit::effects::{Action, Gate, Rule};
use keybearer_testkit::engine_harness::{
    EngineHarness, MANAGEMENT, STORAGE, challenge, exactly, interactive, remove, silent, usernames,
};
use keybearer_testkit::provider::{DEV, Lifetimes, OPS, Template};
use keybearer_testkit::sample;
use serde_json::json;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn kind<T>(result: &Result<T>) -> &ErrorKind {
    result.as_ref().map(|_| ()).expect_err("an error").kind()
}

fn spawn(engine: &Engine, request: SilentRequest) -> tokio::task::JoinHandle<Result<Token>> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.acquire_silent(request).await })
}

fn busy(retry_after: &str) -> Template {
    Template::new(429, json!({ "error": "temporarily_unavailable" }))
        .with_header("retry-after", retry_after)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_make_exactly_one_token_request_inv_i6() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let calls = (0..1000).map(|_| spawn(&engine, silent(STORAGE)));
    for result in join_all(calls).await {
        world.check_result(&result.unwrap());
    }
    assert_eq!(world.http.token_requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_several_threads_make_exactly_one_token_request_inv_i6() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    for round in 0..300 {
        let scope = format!("https://resource-{round}.example/.default");
        for result in join_all((0..32).map(|_| spawn(&engine, silent(&scope)))).await {
            result.unwrap().unwrap();
        }
        assert_eq!(world.http.token_requests(), round + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn other_scopes_get_their_token_while_one_stalls() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.http.rule(Rule::tokens(Action::Stall).scope(STORAGE));
    let stalled = spawn(&engine, silent(STORAGE));
    let started = Instant::now();
    for scope in [MANAGEMENT, "User.Read", "https://vault.azure.net/.default"] {
        engine.acquire_silent(silent(scope)).await.unwrap();
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(!stalled.is_finished());
}

#[tokio::test(start_paused = true)]
async fn requests_that_start_together_ask_once_for_what_the_provider_says_of_itself_inv_i6() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let requests = (0..20).map(|number| engine.acquire_silent(silent(&format!("s{number}"))));
    for token in join_all(requests).await {
        token.unwrap();
    }
    let requests = world.http.asked();
    let times = |end: &str| requests.iter().filter(|request| request.path.ends_with(end)).count();
    assert_eq!((times("openid-configuration"), times("keys"), times("token")), (1, 1, 20));

    let request = || {
        let mut request = silent(STORAGE);
        let host = "https://login.new-cloud.example/organizations";
        request.parameters.authority = Authority::parse(host).unwrap();
        request
    };
    world.http.forget();
    join_all((0..20).map(|_| engine.acquire_silent(request()))).await;
    let requests = world.http.asked();
    assert_eq!(requests.iter().filter(|request| request.path.ends_with("instance")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_fails_to_say_of_itself_is_one_failure_and_asked_for_again() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.http.rule(Rule::path("openid-configuration", Action::Unreachable).times(1));
    let requests = (0..20).map(|number| engine.acquire_silent(silent(&format!("s{number}"))));
    assert!(join_all(requests).await.iter().all(Result::is_err));
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_leaves_at_its_timeout_and_the_flight_goes_on_inv_i7() {
    let mut world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let gate = Gate::default();
    world.http.rule(Rule::tokens(Action::HoldAnswer(gate.clone())).times(1));
    let started = Instant::now();
    let mut request = silent(STORAGE);
    request.parameters.deadline = sample::deadline(Duration::from_secs(2));
    let result = engine.acquire_silent(request).await;
    assert_eq!(kind(&result), &ErrorKind::TimedOut);
    assert_eq!(started.elapsed(), Duration::from_secs(2));

    let commits = world.store.commits();
    gate.open();
    world.clock.advance(Duration::from_millis(1)).await;
    assert_eq!(world.store.commits(), commits + 1, "the rotated token is durable");
    let engine = world.restart().await;
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
    engine.acquire_silent(silent(MANAGEMENT)).await.unwrap();
    assert_eq!(world.provider.reuses(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_answer_comes_within_the_timeout_whatever_stalls_inv_i7() {
    for path in ["openid-configuration", "keys", "/token", "/discovery/instance"] {
        let world = EngineHarness::default();
        let engine = world.connected(DEV).await;
        world.http.rule(Rule::path(path, Action::Stall));
        let mut request = silent(STORAGE);
        if path == "/discovery/instance" {
            let text = "https://login.new-cloud.example/organizations";
            request.parameters.authority = Authority::parse(text).unwrap();
        }
        request.parameters.deadline = sample::deadline(Duration::from_millis(1500));
        let started = Instant::now();
        let result = engine.acquire_silent(request).await;
        assert_eq!(kind(&result), &ErrorKind::TimedOut, "{path}");
        assert_eq!(started.elapsed(), Duration::from_millis(1500), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_nothing_and_one_of_forever_are_fine() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let mut request = silent(STORAGE);
    request.parameters.deadline = sample::deadline(Duration::ZERO);
    assert_eq!(kind(&engine.acquire_silent(request.clone()).await), &ErrorKind::TimedOut);
    request.parameters.deadline = sample::deadline(Duration::MAX);
    engine.acquire_silent(request.clone()).await.unwrap();
    request.parameters.deadline = sample::deadline(Duration::ZERO);
    let cached = engine.acquire_silent(request).await.unwrap();
    assert_eq!(cached.source, TokenSource::Cache);
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_a_valid_token_never_waits_for_its_renewal() {
    let world = EngineHarness::default();
    world.provider.set_lifetimes(Lifetimes { expires_in: 3600, refresh_in: Some(600) });
    let engine = world.connected(DEV).await;
    let first = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    world.clock.advance(10 * MINUTE).await;
    let gate = Gate::default();
    world.http.rule(Rule::tokens(Action::HoldAnswer(gate.clone())));
    let started = Instant::now();
    for _ in 0..100 {
        let token = engine.acquire_silent(silent(STORAGE)).await.unwrap();
        assert!(token.access_token.same_as(&first.access_token));
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    gate.reached(1).await;
    gate.open();
    world.clock.advance(Duration::from_millis(1)).await;
    assert_eq!(world.http.token_requests(), 2, "one for the first token, one renewal");
    let renewed = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    assert_eq!(renewed.source, TokenSource::Cache);
    assert!(!renewed.access_token.same_as(&first.access_token));
}

#[tokio::test(start_paused = true)]
async fn without_refresh_in_tokens_are_renewed_at_half_life() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let first = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    assert_eq!(first.refresh_on.unwrap().saturating_since(first.expires_on), Duration::ZERO);
    world.clock.advance(HOUR / 2 - Duration::from_secs(1)).await;
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
    world.clock.advance(Duration::from_secs(1)).await;
    assert_eq!(world.http.token_requests(), 1);
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
    world.clock.advance(Duration::from_secs(1)).await;
    assert_eq!(world.http.token_requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_does_not_disturb_and_is_not_tried_with_every_call() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
    world.clock.advance(HOUR / 2).await;
    world.http.forget();
    world.http.rule(Rule::tokens(Action::Answer(Template::new(500, json!({})))));
    for _ in 0..600 {
        let token = engine.acquire_silent(silent(STORAGE)).await.unwrap();
        assert_eq!(token.source, TokenSource::Cache);
        world.clock.advance(Duration::from_secs(1)).await;
    }
    let tried = world.http.token_requests();
    assert!((2..=60).contains(&tried), "{tried} token requests in ten minutes of failure");
    world.http.clear_rules();
    world.clock.advance(5 * MINUTE).await;
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
    world.clock.advance(Duration::from_secs(1)).await;
    let token = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    assert!(token.expires_on > world.clock.true_time() + 59 * MINUTE, "it was renewed after all");
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_again_before_retry_after() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.http.rule(Rule::tokens(Action::Answer(busy("120"))).times(1));
    let refused = engine.acquire_silent(silent(STORAGE)).await;
    assert_eq!(
        kind(&refused),
        &ErrorKind::Transient { retry_after: Some(Duration::from_secs(120)) }
    );
    world.check_result(&refused);
    for left in [120, 80, 40] {
        for scope in [STORAGE, MANAGEMENT] {
            let result = engine.acquire_silent(silent(scope)).await;
            let retry_after = Some(Duration::from_secs(left));
            assert_eq!(kind(&result), &ErrorKind::Transient { retry_after });
        }
        world.clock.advance(Duration::from_secs(40)).await;
    }
    assert_eq!(world.http.token_requests(), 1);
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn retry_after_may_be_a_date() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.clock.set_wrong_by(-600);
    world.http.rule(Rule::tokens(Action::Answer(busy("{{date+90}}"))).times(1));
    let result = engine.acquire_silent(silent(STORAGE)).await;
    let retry_after = Some(Duration::from_secs(90));
    assert_eq!(kind(&result), &ErrorKind::Transient { retry_after });
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_wherever_the_provider_says_it() {
    for path in ["openid-configuration", "keys"] {
        let world = EngineHarness::default();
        let engine = world.connected(DEV).await;
        world.http.rule(Rule::path(path, Action::Answer(busy("120"))).times(1));
        let first = engine.acquire_silent(silent(STORAGE)).await;
        assert!(matches!(kind(&first), ErrorKind::Transient { .. }), "{path}");
        let requests = world.http.asked().len();
        world.clock.advance(Duration::from_secs(119)).await;
        let second = engine.acquire_silent(silent(STORAGE)).await;
        assert!(matches!(kind(&second), ErrorKind::Transient { .. }), "{path}");
        assert_eq!(world.http.asked().len(), requests, "{path}");
        world.clock.advance(Duration::from_secs(1)).await;
        engine.acquire_silent(silent(STORAGE)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_make_retry_after_longer() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.http.rule(Rule::tokens(Action::Answer(busy("30"))).times(1));
    engine.acquire_silent(silent(STORAGE)).await.unwrap_err();
    world.clock.set_wrong_by(-3600);
    world.clock.advance(Duration::from_secs(30)).await;
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_is_served_although_the_provider_asked_to_wait() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
    world.clock.advance(HOUR / 2).await;
    world.http.rule(Rule::tokens(Action::Answer(busy("600"))).times(1));
    world.http.forget();
    for _ in 0..5 {
        let token = engine.acquire_silent(silent(STORAGE)).await.unwrap();
        assert_eq!(token.source, TokenSource::Cache);
        world.clock.advance(MINUTE).await;
    }
    assert_eq!(world.http.token_requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_busy_provider_is_not_asked_again_at_once() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let template = Template::new(429, json!({ "error": "temporarily_unavailable" }));
    world.http.rule(Rule::tokens(Action::Answer(template)));
    let result = engine.acquire_silent(silent(STORAGE)).await;
    assert_eq!(kind(&result), &ErrorKind::Transient { retry_after: None });
    assert_eq!(world.http.token_requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_claims_challenge_goes_past_the_cache_and_its_token_replaces_the_old_one() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let old = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    let mut challenged = silent(STORAGE);
    challenged.parameters.claims = challenge();
    challenged.parameters.capabilities = Capabilities::continuous_access_evaluation();
    let mut plain = silent(STORAGE);
    plain.parameters.capabilities = Capabilities::continuous_access_evaluation();
    let new = engine.acquire_silent(challenged).await.unwrap();
    assert_eq!(new.source, TokenSource::Refresh);
    assert!(!new.access_token.same_as(&old.access_token));
    let sent = world.http.asked().pop().unwrap().claims.unwrap();
    assert!(sent.contains("nbf") && sent.contains(r#""xms_cc":{"values":["cp1"]}"#), "{sent}");
    let next = engine.acquire_silent(plain).await.unwrap();
    assert_eq!(next.source, TokenSource::Cache);
    assert!(next.access_token.same_as(&new.access_token));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_refused_is_not_served_again() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let refused = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    let mut request = silent(STORAGE);
    request.parameters.access_token_to_renew = Some(refused.access_token.clone());
    let new = engine.acquire_silent(request.clone()).await.unwrap();
    assert_eq!(new.source, TokenSource::Refresh);
    assert!(!new.access_token.same_as(&refused.access_token));
    let next = engine.acquire_silent(request).await.unwrap();
    assert_eq!(next.source, TokenSource::Cache, "the refused one has been replaced");
    assert!(next.access_token.same_as(&new.access_token));
}

#[tokio::test(start_paused = true)]
async fn callers_who_were_refused_with_the_same_token_share_one_renewal_inv_i6() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let refused = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    world.http.forget();
    let mut request = silent(STORAGE);
    request.parameters.access_token_to_renew = Some(refused.access_token);
    join_all((0..50).map(|_| spawn(&engine, request.clone()))).await;
    assert_eq!(world.http.token_requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_removed_in_mid_refresh_is_not_brought_back() {
    let mut world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let gate = Gate::default();
    world.http.rule(Rule::tokens(Action::HoldAnswer(gate.clone())));
    let call = spawn(&engine, silent(STORAGE));
    gate.reached(1).await;
    remove(&engine, DEV).await.unwrap();
    gate.open();
    let result = call.await.unwrap();
    assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }));
    assert!(usernames(&engine).await.is_empty());
    assert!(world.store.records().is_empty());
    assert!(usernames(&world.restart().await).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_removed_account_are_not_served_when_it_signs_in_again() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let old = engine.acquire_silent(silent(MANAGEMENT)).await.unwrap();
    remove(&engine, DEV).await.unwrap();
    let result = engine.acquire_silent(silent(MANAGEMENT)).await;
    assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }));
    world.connect(&engine, DEV).await;
    let new = engine.acquire_silent(silent(MANAGEMENT)).await.unwrap();
    assert_eq!(new.source, TokenSource::Refresh);
    assert!(!new.access_token.same_as(&old.access_token));
}

#[tokio::test(start_paused = true)]
async fn removing_an_unknown_account_is_an_invalid_request() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let result = remove(&engine, OPS).await;
    assert_eq!(kind(&result), &ErrorKind::InvalidRequest { field: "account".into() });
}

#[tokio::test(start_paused = true)]
async fn an_account_that_was_asked_for_is_never_replaced_by_another_inv_i8() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    world.connect(&engine, OPS).await;
    world.clock.advance(MINUTE).await;
    world.connect(&engine, DEV).await;
    let ask = |account| {
        let mut request = silent(STORAGE);
        request.parameters.account = account;
        engine.acquire_silent(request)
    };
    let only = ask(AccountChoice::Only).await;
    assert!(matches!(kind(&only), ErrorKind::InteractionRequired { .. }));
    let default = ask(AccountChoice::Default).await.unwrap();
    assert_eq!(default.account.username, DEV.username, "the one that signed in last");
    for (choice, user) in [
        (AccountChoice::LoginHint("OPS@contoso.example".into()), OPS),
        (exactly(OPS), OPS),
        (exactly(DEV), DEV),
    ] {
        assert_eq!(ask(choice).await.unwrap().account.username, user.username);
    }
    for choice in [exactly(keybearer_testkit::provider::GUEST), AccountChoice::named("x@y")] {
        let result = ask(choice).await;
        assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_answers_for_another_person_is_refused_inv_i8() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let template = Template::new(
        200,
        json!({
            "token_type": "Bearer", "expires_in": 3600, "access_token": "{{access_token}}",
            "refresh_token": "{{refresh_token}}",
            "id_token": "{{id_token:ops@contoso.example}}",
            "client_info": "{{client_info:ops@contoso.example}}"
        }),
    );
    world.http.rule(Rule::tokens(Action::Answer(template)));
    let commits = world.store.commits();
    let result = engine.acquire_silent(silent(STORAGE)).await;
    assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }));
    world.check_result(&result);
    assert_eq!(usernames(&engine).await, [DEV.username]);
    assert_eq!(world.store.commits(), commits);
}

#[tokio::test(start_paused = true)]
async fn a_flight_answers_silent_and_interactive_callers_alike() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let gate = Gate::default();
    world.http.rule(Rule::tokens(Action::HoldRequest(gate.clone())));
    let silent_call = spawn(&engine, silent(STORAGE));
    let asking = engine.clone();
    let request = interactive(STORAGE, Default::default());
    let interactive_call = tokio::spawn(async move { asking.acquire_interactive(request).await });
    gate.reached(1).await;
    world.clock.advance(Duration::from_millis(1)).await;
    gate.open();
    let one = silent_call.await.unwrap().unwrap();
    let other = interactive_call.await.unwrap().unwrap();
    assert!(one.access_token.same_as(&other.access_token));
    assert_eq!(world.http.token_requests(), 1);
    assert_eq!(world.person.seen().opened, 0, "no sign-in was opened");
}
