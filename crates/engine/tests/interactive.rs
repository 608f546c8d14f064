//! Tests of interactive requests: one sign-in for many callers, cancelling, answers of other
//! sign-ins, the wrong account.
#![allow(clippy::expect_used, reason = "tests")]

use std::time::Duration;

use futures_util::future::join_all;
use keybearer_core::{
    AccountChoice, Broker, Caller, CallerId, Denial, ErrorKind, InteractiveRequest, Missing,
    Prompt, Result, Token, TokenSource,
};
use keybearer_engine::{Engine, SignInOutcome};
use keybearer_testkit::effects::{Action, CommitFate, Conduct, Gate, Pick, Rule};
use keybearer_testkit::engine_harness::{
    EngineHarness, MANAGEMENT, STORAGE, cancel, challenge, exactly, interactive, silent, usernames,
};
use keybearer_testkit::provider::{DEV, GUEST, OPS, Template};
use keybearer_testkit::sample;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;

fn kind<T>(result: &Result<T>) -> &ErrorKind {
    result.as_ref().map(|_| ()).expect_err("an error").kind()
}

fn spawn(engine: &Engine, request: InteractiveRequest) -> JoinHandle<Result<Token>> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.acquire_interactive(request).await })
}

fn by(caller: &str, mut request: InteractiveRequest) -> InteractiveRequest {
    request.parameters.caller = Caller { id: CallerId::new(caller), process: None };
    request
}

fn sign_in() -> InteractiveRequest {
    interactive(STORAGE, Prompt::IfNeeded)
}

/// An engine with two connected accounts and an empty cache. DEV signed in last.
async fn two_accounts(world: &EngineHarness) -> Engine {
    let engine = world.engine().await;
    world.connect(&engine, OPS).await;
    world.clock.advance(Duration::from_secs(60)).await;
    world.connect(&engine, DEV).await;
    world.engine().await
}

#[tokio::test(start_paused = true)]
async fn a_person_signs_in_once_and_every_later_token_comes_without() {
    let mut world = EngineHarness::default();
    let engine = world.engine().await;
    let result = engine.acquire_interactive(sign_in()).await;
    world.check_result(&result);
    let token = result.unwrap();
    assert_eq!(
        (token.source, token.account.username.as_str()),
        (TokenSource::SignIn, DEV.username)
    );
    let outcome = SignInOutcome::SignedIn { username: DEV.username.into() };
    assert_eq!(world.person.seen().finished, [outcome]);
    assert_eq!(world.person.seen().open, 0);
    let again = engine.acquire_interactive(sign_in()).await.unwrap();
    assert_eq!(again.source, TokenSource::Cache);
    let engine = world.restart().await;
    let other = engine.acquire_silent(silent(MANAGEMENT)).await.unwrap();
    assert_eq!(other.source, TokenSource::Refresh);
    assert_eq!(world.person.seen().opened, 1);
    for secret in ["access token", "refresh token", "id token", "state", "code verifier"] {
        assert!(world.secrets.has(secret), "the leak check looks for {secret}");
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_identical_callers_see_one_picker() {
    let world = EngineHarness::default();
    let engine = two_accounts(&world).await;
    let gate = Gate::default();
    world.person.will_pick(Pick::Known(OPS));
    world.person.hold(Some(gate.clone()));
    let calls: Vec<_> =
        (0..20).map(|index| spawn(&engine, by(&format!(":1.{index}"), sign_in()))).collect();
    gate.reached(1).await;
    world.clock.advance(Duration::from_secs(1)).await;
    gate.open();
    for result in join_all(calls).await {
        assert_eq!(result.unwrap().unwrap().account.username, OPS.username);
    }
    let seen = world.person.seen();
    assert_eq!((seen.opened, seen.open), (1, 0));
    assert_eq!(seen.offered, [[DEV.username, OPS.username]]);
}

#[tokio::test(start_paused = true)]
async fn choosing_a_known_account_needs_no_visit_to_the_provider() {
    let world = EngineHarness::default();
    let engine = two_accounts(&world).await;
    world.person.will_pick(Pick::Known(DEV));
    let token = engine.acquire_interactive(sign_in()).await.unwrap();
    assert_eq!(
        (token.source, token.account.username.as_str()),
        (TokenSource::Refresh, DEV.username)
    );
    let seen = world.person.seen();
    assert!(seen.visits.is_empty());
    assert_eq!(seen.finished, [SignInOutcome::SignedIn { username: DEV.username.into() }]);
}

#[tokio::test(start_paused = true)]
async fn choosing_a_known_account_whose_session_has_ended_leads_to_the_provider() {
    let world = EngineHarness::default();
    let engine = two_accounts(&world).await;
    world.provider.revoke(DEV);
    world.person.will(Conduct::SignsIn(DEV));
    world.person.will_pick(Pick::Known(DEV));
    let token = engine.acquire_interactive(sign_in()).await.unwrap();
    assert_eq!(token.source, TokenSource::SignIn);
    assert_eq!(world.person.seen().visits[0]["login_hint"], DEV.username);
}

#[tokio::test(start_paused = true)]
async fn choosing_another_account_connects_it() {
    let world = EngineHarness::default();
    let engine = two_accounts(&world).await;
    world.person.will(Conduct::SignsIn(GUEST));
    world.person.will_pick(Pick::Another);
    let token = engine.acquire_interactive(sign_in()).await.unwrap();
    assert_eq!(token.account.username, GUEST.username);
    assert_eq!(world.person.seen().visits[0]["prompt"], "select_account");
    assert_eq!(usernames(&engine).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_wrong_account_is_refused_and_nothing_is_stored_inv_i8() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.provider.revoke(DEV);
    world.person.will(Conduct::SignsIn(OPS));
    let commits = world.store.commits();
    let mut request = sign_in();
    request.parameters.account = exactly(DEV);
    let result = engine.acquire_interactive(request).await;
    assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }));
    world.check_result(&result);
    assert!(result.unwrap_err().hint().unwrap().contains("sign in again"));
    assert_eq!(world.store.commits(), commits);
    assert_eq!(usernames(&engine).await, [DEV.username]);
    assert!(matches!(world.person.seen().finished[..], [SignInOutcome::Failed { .. }]));
}

#[tokio::test(start_paused = true)]
async fn without_a_choice_two_accounts_need_the_person_unless_the_default_will_do() {
    let world = EngineHarness::default();
    let engine = two_accounts(&world).await;
    let mut request = sign_in();
    request.parameters.account = AccountChoice::Default;
    let token = engine.acquire_interactive(request).await.unwrap();
    assert_eq!(token.account.username, DEV.username);
    assert_eq!(world.person.seen().opened, 0);
    world.person.will_pick(Pick::Known(OPS));
    let token = engine.acquire_interactive(sign_in()).await.unwrap();
    assert_eq!(token.account.username, OPS.username);
    assert_eq!(world.person.seen().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_only_that_callers_wait() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let gate = Gate::default();
    world.person.hold(Some(gate.clone()));
    let patient = spawn(&engine, by(":1.1", sign_in()));
    let impatient = [spawn(&engine, by(":1.2", sign_in())), spawn(&engine, by(":1.2", sign_in()))];
    gate.reached(1).await;
    let started = Instant::now();
    engine.cancel(cancel(":1.2")).await.unwrap();
    engine.cancel(cancel(":1.3")).await.unwrap();
    for call in impatient {
        assert_eq!(kind(&call.await.unwrap()), &ErrorKind::Cancelled);
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(!patient.is_finished());
    gate.open();
    patient.await.unwrap().unwrap();
    assert_eq!(world.person.seen().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn when_the_last_caller_has_left_the_sign_in_is_closed() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    world.person.will(Conduct::NeverAnswers);
    let calls: Vec<_> =
        (0..3).map(|index| spawn(&engine, by(&index.to_string(), sign_in()))).collect();
    world.clock.advance(Duration::from_secs(1)).await;
    for caller in ["0", "1"] {
        engine.cancel(cancel(caller)).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(1)).await;
    assert_eq!(world.person.seen().open, 1);
    engine.cancel(cancel("2")).await.unwrap();
    world.clock.advance(Duration::from_millis(1)).await;
    assert_eq!(world.person.seen().open, 0);
    assert_eq!(engine.in_flight(), 0);
    drop(calls);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_keep_the_sign_in_open() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    world.person.will(Conduct::NeverAnswers);
    let call = spawn(&engine, sign_in());
    world.clock.advance(Duration::from_secs(1)).await;
    assert_eq!(world.person.seen().open, 1);
    call.abort();
    world.clock.advance(Duration::from_millis(1)).await;
    assert_eq!((world.person.seen().open, engine.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_nobody_finishes_ends_at_the_timeout_and_is_closed_inv_i7() {
    let world = EngineHarness::default();
    let engine = two_accounts(&world).await;
    for (conduct, pick) in
        [(Conduct::NeverAnswers, Pick::Another), (Conduct::SignsIn(DEV), Pick::Never)]
    {
        world.person.forget();
        world.person.will(conduct);
        world.person.will_pick(pick);
        let started = Instant::now();
        let mut request = sign_in();
        request.parameters.deadline = sample::deadline(Duration::from_secs(5));
        let result = engine.acquire_interactive(request).await;
        assert_eq!(kind(&result), &ErrorKind::TimedOut);
        assert!(result.unwrap_err().hint().unwrap().contains("in the browser"));
        assert_eq!(started.elapsed(), Duration::from_secs(5));
        world.clock.advance(Duration::from_millis(1)).await;
        assert_eq!((world.person.seen().open, engine.in_flight()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_nothing_is_named_when_the_time_is_up_inv_i7() {
    let mut world = EngineHarness::default();
    drop(world.connected(DEV).await);
    let engine = world.restart().await;
    world.http.rule(Rule::path("openid-configuration", Action::Stall));
    let mut request = sign_in();
    request.parameters.deadline = sample::deadline(Duration::from_secs(5));
    let mut unasked = silent(STORAGE);
    unasked.parameters.deadline = sample::deadline(Duration::from_secs(5));
    for error in [
        engine.acquire_interactive(request).await.unwrap_err(),
        engine.acquire_silent(unasked).await.unwrap_err(),
    ] {
        assert_eq!(*error.kind(), ErrorKind::TimedOut);
        let hint = error.hint().unwrap();
        assert!(hint.ends_with("login.microsoftonline.com has not answered"), "{hint}");
        assert!(!hint.contains("browser"), "{hint}");
    }
    assert_eq!(world.person.seen().open, 0);
}

#[tokio::test(start_paused = true)]
async fn callers_with_different_patience_share_a_sign_in_inv_i7() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let gate = Gate::default();
    world.person.hold(Some(gate.clone()));
    let mut hasty = sign_in();
    hasty.parameters.deadline = sample::deadline(Duration::from_secs(1));
    let hasty = spawn(&engine, hasty);
    let patient = spawn(&engine, sign_in());
    world.clock.advance(Duration::from_secs(2)).await;
    assert_eq!(kind(&hasty.await.unwrap()), &ErrorKind::TimedOut);
    gate.open();
    patient.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn once_there_is_a_code_the_account_is_connected_although_the_callers_have_left() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let gate = Gate::default();
    world.http.rule(Rule::tokens(Action::HoldAnswer(gate.clone())));
    let call = spawn(&engine, by("x", sign_in()));
    gate.reached(1).await;
    engine.cancel(cancel("x")).await.unwrap();
    assert_eq!(kind(&call.await.unwrap()), &ErrorKind::Cancelled);
    gate.open();
    world.clock.advance(Duration::from_millis(1)).await;
    assert_eq!(usernames(&engine).await, [DEV.username]);
    assert_eq!(engine.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn stray_answers_are_turned_away_and_the_right_one_still_counts_inv_i9() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    world.person.will(Conduct::StrayAnswersThenSignsIn(DEV));
    engine.acquire_interactive(sign_in()).await.unwrap();
    assert_eq!(world.person.seen().rejected, 4);
    assert_eq!(world.http.token_requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_sign_in_has_its_own_state_and_verifier_inv_i9() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let mut challenges = Vec::new();
    for _ in 0..10 {
        let request = interactive(STORAGE, Prompt::Login);
        world.person.will_pick(Pick::Another);
        engine.acquire_interactive(request).await.unwrap();
        let visit = world.person.seen().visits.pop().unwrap();
        assert_eq!((visit["code_challenge_method"].as_str(), visit["prompt"].as_str()).0, "S256");
        challenges.push(visit["code_challenge"].clone());
    }
    challenges.sort_unstable();
    challenges.dedup();
    assert_eq!(challenges.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_declines_or_gives_up_is_told_apart() {
    let denied = ErrorKind::Denied(Denial::Person);
    for (conduct, expected) in [
        (Conduct::Denies, denied),
        (Conduct::Closes, ErrorKind::Cancelled),
        (Conduct::IsAway, ErrorKind::Unavailable(Missing::UserInterface)),
    ] {
        let world = EngineHarness::default();
        let engine = world.engine().await;
        world.person.will(conduct);
        let result = engine.acquire_interactive(sign_in()).await;
        assert_eq!(kind(&result), &expected);
        world.check_result(&result);
        assert_eq!((world.person.seen().open, engine.in_flight()), (0, 0));
        assert!(world.store.records().is_empty());
        assert_eq!(world.http.token_requests(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn closing_the_picker_cancels_everybody_who_waits() {
    let world = EngineHarness::default();
    let engine = two_accounts(&world).await;
    let gate = Gate::default();
    world.person.hold(Some(gate.clone()));
    world.person.will_pick(Pick::Closes);
    let calls: Vec<_> = (0..5).map(|_| spawn(&engine, sign_in())).collect();
    gate.reached(1).await;
    world.clock.advance(Duration::from_millis(1)).await;
    gate.open();
    for result in join_all(calls).await {
        assert_eq!(kind(&result.unwrap()), &ErrorKind::Cancelled);
    }
    assert_eq!(world.person.seen().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_uri_that_is_not_registered_is_named_with_the_one_to_register() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let description = "AADSTS50011: The redirect URI does not match".to_owned();
    world.person.will(Conduct::IsRefused("invalid_request".into(), description));
    let result = engine.acquire_interactive(sign_in()).await;
    assert_eq!(kind(&result), &ErrorKind::Denied(Denial::Configuration));
    let error = result.unwrap_err();
    assert!(error.hint().unwrap().contains("http://localhost "), "{error}");
    assert_eq!(error.context().code.as_deref(), Some("AADSTS50011"));
}

#[tokio::test(start_paused = true)]
async fn a_claims_challenge_asks_the_person_and_its_token_replaces_the_old_one() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let old = world.connect(&engine, DEV).await;
    world.person.will_pick(Pick::Known(DEV));
    let mut request = sign_in();
    request.parameters.claims = challenge();
    let new = engine.acquire_interactive(request).await.unwrap();
    assert_eq!(new.source, TokenSource::SignIn);
    assert!(world.person.seen().visits[0]["claims"].contains("nbf"));
    let next = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    assert!(next.access_token.same_as(&new.access_token));
    assert!(!next.access_token.same_as(&old.access_token));
}

#[tokio::test(start_paused = true)]
async fn an_interactive_request_waits_out_retry_after_unless_it_needs_the_person() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let busy = Template::new(503, json!({})).with_header("retry-after", "60");
    world.http.rule(Rule::tokens(Action::Answer(busy)).times(1));
    engine.acquire_silent(silent(STORAGE)).await.unwrap_err();
    let result = engine.acquire_interactive(sign_in()).await;
    assert!(matches!(kind(&result), ErrorKind::Transient { retry_after: Some(_) }));
    assert_eq!(world.http.token_requests(), 1);
    world.person.will_pick(Pick::Another);
    engine.acquire_interactive(interactive(STORAGE, Prompt::Login)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_redemption_the_provider_is_too_busy_for_is_not_tried_again() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let busy = Template::new(503, json!({})).with_header("retry-after", "60");
    world.http.rule(Rule::tokens(Action::Answer(busy)).times(1));
    let result = engine.acquire_interactive(sign_in()).await;
    assert!(matches!(kind(&result), ErrorKind::Transient { retry_after: Some(_) }));
    assert_eq!(world.http.token_requests(), 1);
    assert_eq!((world.person.seen().open, engine.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_waits_for_its_commit_inv_i3() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let gate = Gate::default();
    world.store.next_commit(CommitFate::StallsBefore(gate.clone()));
    let call = spawn(&engine, sign_in());
    gate.reached(1).await;
    world.clock.advance(Duration::from_secs(10)).await;
    assert!(!call.is_finished());
    assert!(usernames(&engine).await.is_empty());
    gate.open();
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_token_was_refused_does_not_get_it_from_somebody_elses_sign_in() {
    let world = EngineHarness::default();
    let engine = two_accounts(&world).await;
    let mut request = silent(STORAGE);
    request.parameters.account = exactly(DEV);
    let refused = engine.acquire_silent(request).await.unwrap();
    let gate = Gate::default();
    world.person.hold(Some(gate.clone()));
    world.person.will_pick(Pick::Known(DEV));
    let first = spawn(&engine, sign_in());
    gate.reached(1).await;
    let mut renewing = sign_in();
    renewing.parameters.access_token_to_renew = Some(refused.access_token.clone());
    let second = spawn(&engine, renewing);
    world.clock.advance(Duration::from_millis(1)).await;
    gate.open();
    first.await.unwrap().unwrap();
    let token = second.await.unwrap().unwrap();
    assert!(!token.access_token.same_as(&refused.access_token));
}

#[tokio::test(start_paused = true)]
async fn an_app_inside_another_says_so_at_every_step() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    world.person.will(Conduct::SignsIn(DEV));
    let outer = ("brk_client_id".to_owned(), "outer".to_owned());
    let mut request = interactive(STORAGE, Prompt::IfNeeded);
    request.parameters.extra_query.extend([outer.clone()]);
    engine.acquire_interactive(request).await.unwrap();
    let mut request = silent(MANAGEMENT);
    request.parameters.extra_query.extend([outer]);
    engine.acquire_silent(request).await.unwrap();
    let requests = world.http.asked();
    let tokens: Vec<_> = requests.iter().filter(|request| request.grant.is_some()).collect();
    assert_eq!(tokens.len(), 2);
    assert!(
        tokens.iter().all(|request| request.nested_in.as_deref() == Some("outer")),
        "{tokens:?}"
    );
}
