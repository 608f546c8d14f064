//! Tests of proof of possession: tokens bound to a key, and signed HTTP requests.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use keybearer_core::{
    AccessToken, AccountChoice, Broker, CorrelationId, ErrorKind, HttpRequestToSign, Prompt,
    ProofOfPossession, SignHttpRequest, SilentRequest, Token, TokenSource, TokenType,
};
use keybearer_engine::Change;
use keybearer_testkit::effects::{Action, CommitFate, Conduct, Gate, Rule};
use keybearer_testkit::engine_harness::{
    EngineHarness, MANAGEMENT, STORAGE, exactly, interactive, remove, silent,
};
use keybearer_testkit::provider::{DEV, OPS, Template};
use serde_json::{Value, json};

fn me() -> HttpRequestToSign {
    HttpRequestToSign {
        method: Some("GET".into()),
        host: Some("graph.microsoft.com".into()),
        path: Some("/v1.0/me".into()),
        ..Default::default()
    }
}

fn bound(request: SilentRequest) -> SilentRequest {
    let mut request = request;
    request.parameters.proof_of_possession = Some(ProofOfPossession::Signed(me()));
    request
}

fn is_proof_key(change: &Change) -> bool {
    matches!(change, Change::Put(record) if record.key.0.starts_with("proof-key/"))
}

/// The header and the claims of a signed HTTP request.
fn parts(token: &AccessToken) -> (Value, Value) {
    let mut parts = token.expose().split('.');
    let mut part = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok();
    (part().expect("a header"), part().expect("claims"))
}

fn key_of(token: &Token) -> String {
    parts(&token.access_token).0["kid"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_bound_token_is_fetched_once_and_signed_anew_for_each_request() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let first = engine.acquire_silent(bound(silent(STORAGE))).await.unwrap();
    let second = engine.acquire_silent(bound(silent(STORAGE))).await.unwrap();
    assert_eq!((first.source, second.source), (TokenSource::Refresh, TokenSource::Cache));
    assert_eq!(first.token_type, TokenType::ProofOfPossession);
    assert_eq!(world.http.token_requests(), 1);
    let ((_, one), (_, two)) = (parts(&first.access_token), parts(&second.access_token));
    assert_eq!(one["at"], two["at"]);
    assert_ne!(one["nonce"], two["nonce"]);
    let signed = json!([one["m"], one["u"], one["p"]]);
    assert_eq!(signed, json!(["GET", "graph.microsoft.com", "/v1.0/me"]));
}

#[tokio::test(start_paused = true)]
async fn a_bound_token_and_a_bearer_token_never_stand_in_for_each_other() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let bearer = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    let signed = engine.acquire_silent(bound(silent(STORAGE))).await.unwrap();
    let again = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    assert_eq!(world.http.token_requests(), 2);
    assert_eq!(again.token_type, TokenType::Bearer);
    assert!(again.access_token.same_as(&bearer.access_token));
    assert_ne!(parts(&signed.access_token).1["at"], json!(bearer.access_token.expose()));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_issues_the_other_kind_is_not_believed() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let bearer = json!({ "token_type": "Bearer", "access_token": "at", "expires_in": 3600 });
    world.http.rule(Rule::tokens(Action::Answer(Template::new(200, bearer))));
    let error = engine.acquire_silent(bound(silent(STORAGE))).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_key_outlives_the_process_and_goes_with_its_account_inv_i3() {
    let mut world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.connect(&engine, OPS).await;
    let ask = || {
        let mut request = bound(silent(STORAGE));
        request.parameters.account = exactly(DEV);
        request
    };
    let first = key_of(&engine.acquire_silent(ask()).await.unwrap());
    let mut other = bound(silent(STORAGE));
    other.parameters.account = exactly(OPS);
    assert_ne!(key_of(&engine.acquire_silent(other).await.unwrap()), first);
    let engine = world.restart().await;
    assert_eq!(key_of(&engine.acquire_silent(ask()).await.unwrap()), first);
    remove(&engine, DEV).await.unwrap();
    world.connect(&engine, DEV).await;
    assert_ne!(key_of(&engine.acquire_silent(ask()).await.unwrap()), first);
}

#[tokio::test(start_paused = true)]
async fn callers_who_need_a_key_at_the_same_time_get_the_same_one_inv_i6() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let before = world.store.commits();
    let scopes = [STORAGE, MANAGEMENT, "User.Read"];
    let tokens = scopes.map(|scope| engine.acquire_silent(bound(silent(scope))));
    let keys: Vec<String> =
        join_all(tokens).await.into_iter().map(|token| key_of(&token.unwrap())).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let made = world.store.history();
    let made = made.iter().filter(|change| is_proof_key(change)).count();
    assert_eq!((made, before), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_made_while_its_account_is_removed_leaves_nothing_behind() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let commit = Gate::default();
    world.store.next_commit(CommitFate::StallsBefore(commit.clone()));
    let removing = engine.clone();
    let removal = tokio::spawn(async move { remove(&removing, DEV).await });
    commit.reached(1).await;
    let asking = engine.clone();
    let call = tokio::spawn(async move { asking.acquire_silent(bound(silent(STORAGE))).await });
    world.clock.advance(Duration::from_millis(1)).await;
    commit.open();
    removal.await.unwrap().unwrap();
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InteractionRequired { .. }), "{error}");
    assert!(world.store.records().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_can_end_with_a_signed_request() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    world.person.will(Conduct::SignsIn(DEV));
    let mut request = interactive(STORAGE, Prompt::IfNeeded);
    request.parameters.proof_of_possession = Some(ProofOfPossession::Signed(me()));
    let token = engine.acquire_interactive(request).await.unwrap();
    assert_eq!(token.source, TokenSource::SignIn);
    assert_eq!(parts(&token.access_token).1["p"], "/v1.0/me");
}

#[tokio::test(start_paused = true)]
async fn one_sign_in_serves_callers_who_want_different_requests_signed() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    world.person.will(Conduct::SignsIn(DEV));
    let ask = |path: &str| {
        let mut request = interactive(STORAGE, Prompt::IfNeeded);
        let http = HttpRequestToSign { path: Some(path.into()), ..me() };
        request.parameters.proof_of_possession = Some(ProofOfPossession::Signed(http));
        engine.acquire_interactive(request)
    };
    let (one, two) = tokio::join!(ask("/one"), ask("/two"));
    let path = |token: Token| parts(&token.access_token).1["p"].clone();
    assert_eq!((path(one.unwrap()), path(two.unwrap())), (json!("/one"), json!("/two")));
    assert_eq!(world.person.seen().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_to_sign_in_for_a_request_that_cannot_be_signed() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let mut request = interactive(STORAGE, Prompt::IfNeeded);
    let http = HttpRequestToSign { client_claims: Some("{".into()), ..me() };
    request.parameters.proof_of_possession = Some(ProofOfPossession::Signed(http));
    let error = engine.acquire_interactive(request).await.unwrap_err();
    let wanted = ErrorKind::InvalidRequest { field: "client_claims".into() };
    assert_eq!((error.kind(), world.person.seen().opened), (&wanted, 0));
}

#[tokio::test(start_paused = true)]
async fn the_key_of_an_app_is_passed_on_and_nothing_is_signed() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let ask = |key_id: &str| {
        let mut request = silent(STORAGE);
        let key_id = key_id.to_owned();
        request.parameters.proof_of_possession = Some(ProofOfPossession::BoundTo { key_id });
        request
    };
    let token = engine.acquire_silent(ask("one")).await.unwrap();
    assert_eq!(token.token_type, TokenType::ProofOfPossession);
    assert!(!token.access_token.expose().starts_with("eyJ"), "the provider's own token");
    let again = engine.acquire_silent(ask("one")).await.unwrap();
    assert!(again.access_token.same_as(&token.access_token));
    engine.acquire_silent(ask("two")).await.unwrap();
    assert_eq!(world.http.token_requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_signature_means_that_the_token_inside_is_refused() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let refused = engine.acquire_silent(bound(silent(STORAGE))).await.unwrap();
    let mut request = bound(silent(STORAGE));
    request.parameters.access_token_to_renew = Some(refused.access_token.clone());
    let renewed = engine.acquire_silent(request).await.unwrap();
    let inside = |token: &Token| parts(&token.access_token).1["at"].clone();
    assert_ne!(inside(&renewed), inside(&refused));
}

#[tokio::test(start_paused = true)]
async fn an_http_request_is_signed_with_the_key_of_the_account() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let key = key_of(&engine.acquire_silent(bound(silent(STORAGE))).await.unwrap());
    let sign = |account| SignHttpRequest {
        client_id: None,
        account,
        http: me(),
        correlation_id: CorrelationId::default(),
        timeout: Duration::from_secs(5),
    };
    let signed = engine.sign_http_request(sign(exactly(DEV))).await.unwrap();
    let (header, claims) = parts(&AccessToken::new(signed.expose().into()));
    assert_eq!((header["kid"].as_str(), claims.get("at")), (Some(key.as_str()), None));
    let unknown = AccountChoice::LoginHint("nobody@contoso.example".into());
    let error = engine.sign_http_request(sign(unknown)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InteractionRequired { .. }), "{error}");
}
