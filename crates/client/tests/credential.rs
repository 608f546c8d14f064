//! The credential logic every language shares, over a scripted broker.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keybearer_client::{
    AuthenticationRecord, Credential, CredentialOptions, TokenQuery, signed_request,
};
use keybearer_core::{
    AccessToken, Account, AccountChoice, Claims, Error, ErrorKind, HomeAccountId, Prompt, ScopeSet,
    Timestamp, Token, TokenSource, TokenType,
};
use keybearer_testkit::capture::LeakCheck;
use keybearer_testkit::double::{Answer, Received, ScriptedBroker};
use keybearer_testkit::sample;

const SCOPES: &[&str] = &["https://storage.azure.com/.default"];
const QUERY: TokenQuery<'_> = TokenQuery {
    scopes: SCOPES,
    tenant_id: None,
    claims: None,
    enable_cae: false,
    proof_of_possession: None,
};
const CHALLENGE: &str = r#"{"access_token":{"nbf":{"value":"1"}}}"#;

fn token(secret: &str) -> Token {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = Timestamp::from_unix_seconds(now as i64);
    Token {
        access_token: AccessToken::new(secret.into()),
        token_type: TokenType::Bearer,
        expires_on: now + Duration::from_secs(3600),
        refresh_on: None,
        granted_scopes: ScopeSet::parse(SCOPES).unwrap(),
        account: sample::account(),
        id_token: None,
        source: TokenSource::SignIn,
    }
}

fn credential(broker: &Arc<ScriptedBroker>, options: CredentialOptions) -> Credential {
    Credential::with_broker(&options, broker.clone()).unwrap()
}

fn limited(timeout: Duration) -> CredentialOptions {
    CredentialOptions { timeout: Some(timeout), ..CredentialOptions::default() }
}

/// The account choice of each token request the broker received.
fn choices(broker: &ScriptedBroker) -> Vec<AccountChoice> {
    let choice = |received| match received {
        Received::Silent(request) => Some(request.parameters.account),
        Received::Interactive(request) => Some(request.parameters.account),
        _ => None,
    };
    broker.received().into_iter().filter_map(choice).collect()
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_then_held() {
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Now(Ok(token("t-1"))));
    let credential = credential(&broker, CredentialOptions::default());
    assert!(credential.cached(QUERY).unwrap().is_none());
    for _ in 0..3 {
        assert_eq!(credential.acquire(QUERY).await.unwrap().access_token.expose(), "t-1");
    }
    assert_eq!(broker.received().len(), 1);
}

#[tokio::test]
async fn a_token_worth_renewing_is_handed_out_and_renewed_behind_the_callers_back() {
    let due = |secret| Token { refresh_on: Some(Timestamp::from_unix_seconds(0)), ..token(secret) };
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Now(Ok(due("t-1"))));
    broker.on_silent(Answer::Now(Err(Error::transient(None, "the provider is busy"))));
    let credential = credential(&broker, CredentialOptions::default());
    credential.acquire(QUERY).await.unwrap();
    let held = || credential.cached(QUERY).unwrap().unwrap();
    for _ in 0..3 {
        assert_eq!(held().access_token.expose(), "t-1");
    }
    // One of the three asked, and its failure is nobody's.
    broker.wait_for_calls(2).await;
    assert_eq!(credential.acquire(QUERY).await.unwrap().access_token.expose(), "t-1");
    assert_eq!(broker.received().len(), 2);

    // A broker whose provider is busy answers with the token it has: that is not asked about at once.
    let broker = Arc::new(ScriptedBroker::new());
    for _ in 0..3 {
        broker.on_silent(Answer::Now(Ok(due("t-1"))));
    }
    let credential = self::credential(&broker, CredentialOptions::default());
    credential.acquire(QUERY).await.unwrap();
    let first = credential.cached(QUERY).unwrap().unwrap();
    broker.wait_for_calls(2).await;
    // Once what was answered is kept, it is another copy of the same token.
    while Arc::ptr_eq(&first, &credential.cached(QUERY).unwrap().unwrap()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(held_times(&credential, 20), 20);
    assert_eq!(broker.received().len(), 2);

    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Now(Ok(due("t-1"))));
    broker.on_silent(Answer::Now(Ok(token("t-2"))));
    let credential = self::credential(&broker, CredentialOptions::default());
    credential.acquire(QUERY).await.unwrap();
    let renewed = async {
        while credential.cached(QUERY).unwrap().unwrap().access_token.expose() != "t-2" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), renewed).await.unwrap();
    assert_eq!(broker.received().len(), 2);
}

fn held_times(credential: &Credential, times: usize) -> usize {
    (0..times).filter(|_| credential.cached(QUERY).unwrap().is_some()).count()
}

#[tokio::test]
async fn a_person_is_asked_only_when_there_is_no_other_way() {
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Now(Err(Error::interaction_required("no account is connected"))));
    broker.on_interactive(Answer::Now(Ok(token("t-1"))));
    let credential = credential(&broker, CredentialOptions::default());
    assert_eq!(credential.acquire(QUERY).await.unwrap().source, TokenSource::SignIn);

    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Now(Err(Error::transient(None, "the provider is busy"))));
    let error = credential_error(&broker, CredentialOptions::default()).await;
    assert_eq!(*error.kind(), ErrorKind::Transient { retry_after: None });
    assert_eq!(broker.received().len(), 1);
}

#[tokio::test]
async fn the_options_decide_whether_a_person_is_asked() {
    let automatic = CredentialOptions::default();
    let on_demand =
        CredentialOptions { disable_automatic_authentication: true, ..automatic.clone() };
    let never = CredentialOptions { disable_interactive_fallback: true, ..automatic.clone() };
    let both = CredentialOptions { disable_interactive_fallback: true, ..on_demand.clone() };
    let named = |options: &CredentialOptions| CredentialOptions {
        use_default_broker_account: true,
        ..options.clone()
    };
    // What `acquire` and `authenticate` end with, by the name of the error's kind.
    let cases = [
        (automatic.clone(), "token", "token"),
        (on_demand.clone(), "interaction_required", "token"),
        (named(&on_demand), "interaction_required", "token"),
        (never.clone(), "unavailable", "unavailable"),
        (named(&never), "unavailable", "unavailable"),
        (both, "unavailable", "unavailable"),
    ];
    for (options, acquired, authenticated) in cases {
        let broker = || {
            let broker = Arc::new(ScriptedBroker::new());
            broker.on_silent(Answer::Now(Err(Error::interaction_required(
                "no account is connected",
            ))));
            broker.on_interactive(Answer::Now(Ok(token("t-1"))));
            broker
        };
        let named =
            |result: Result<(), Error>| result.map_or_else(|e| e.kind().name(), |()| "token");
        let result = credential(&broker(), options.clone()).acquire(QUERY).await;
        assert_eq!(named(result.map(drop)), acquired, "acquire with {options:?}");
        let result = credential(&broker(), options.clone()).authenticate(QUERY).await;
        assert_eq!(named(result.map(drop)), authenticated, "authenticate with {options:?}");
    }
}

#[tokio::test]
async fn authenticate_lets_the_person_choose_unless_somebody_has_been_named() {
    let login_hint = Some("dev@contoso.example".to_owned());
    let cases = [
        (CredentialOptions::default(), Prompt::SelectAccount),
        (CredentialOptions { login_hint, ..Default::default() }, Prompt::IfNeeded),
        (
            CredentialOptions { use_default_broker_account: true, ..Default::default() },
            Prompt::IfNeeded,
        ),
    ];
    for (options, expected) in cases {
        let broker = Arc::new(ScriptedBroker::new());
        broker.on_silent(Answer::Now(Err(Error::interaction_required("no account is connected"))));
        broker.on_interactive(Answer::Now(Ok(token("t-1"))));
        let credential = credential(&broker, options);
        credential.authenticate(QUERY).await.unwrap();
        let Some(Received::Interactive(request)) = broker.received().pop() else {
            panic!("a sign-in");
        };
        assert_eq!(request.prompt, expected);
        // Its token is kept.
        assert!(credential.cached(QUERY).unwrap().is_some());
    }
}

#[tokio::test]
async fn a_record_leads_back_to_the_account_it_was_made_of_inv_i8() {
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_interactive(Answer::Now(Ok(token("t-1"))));
    broker.on_silent(Answer::Now(Ok(token("t-2"))));
    let query = TokenQuery { scopes: &[], ..QUERY };
    let first = credential(&broker, CredentialOptions::default());
    let record = first.authenticate(query).await.unwrap();
    let Some(Received::Interactive(request)) = broker.received().pop() else { panic!("a sign-in") };
    let scopes: Vec<_> = request.parameters.scopes.iter().collect();
    assert_eq!(scopes, ["https://management.core.windows.net//.default"]);

    let record = AuthenticationRecord::deserialize(&record.serialize()).unwrap();
    assert_eq!(record.username, sample::account().username);
    let options = CredentialOptions { authentication_record: Some(record), ..Default::default() };
    credential(&broker, options).acquire(QUERY).await.unwrap();
    let signed_in = AccountChoice::Exact(sample::account().home_account_id);
    assert_eq!(choices(&broker), [AccountChoice::Only, signed_in]);
}

#[tokio::test]
async fn where_the_resource_manager_is_not_known_authenticate_needs_scopes() {
    let broker = Arc::new(ScriptedBroker::new());
    let options =
        CredentialOptions { authority: Some("localhost:8443".into()), ..Default::default() };
    let query = TokenQuery { scopes: &[], ..QUERY };
    let error = credential(&broker, options).authenticate(query).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidRequest { field: "scopes".into() });
    assert!(broker.received().is_empty());
}

#[tokio::test]
async fn a_signed_request_is_had_anew_each_time_and_never_replaced_by_a_bearer_token() {
    let signed = |secret| Token { token_type: TokenType::ProofOfPossession, ..token(secret) };
    let broker = Arc::new(ScriptedBroker::new());
    for answer in [token("bearer"), signed("pop-1"), signed("pop-2"), token("bearer-2")] {
        broker.on_silent(Answer::Now(Ok(answer)));
    }
    let credential = credential(&broker, CredentialOptions::default());
    credential.acquire(QUERY).await.unwrap();
    let proof = signed_request("GET", "https://graph.microsoft.com/v1.0/me", Some("n")).unwrap();
    let query = TokenQuery { proof_of_possession: Some(&proof), ..QUERY };
    for expected in ["pop-1", "pop-2"] {
        assert_eq!(credential.acquire(query).await.unwrap().access_token.expose(), expected);
    }
    let error = credential.acquire(query).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{error}");
    let asked = broker.received().into_iter().filter_map(|received| match received {
        Received::Silent(request) => Some(request.parameters.proof_of_possession),
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<_>>()[1], Some(proof));
    assert_eq!(credential.acquire(QUERY).await.unwrap().access_token.expose(), "bearer");
}

#[tokio::test]
async fn personal_accounts_pass_through_on_request() {
    for (enable_msa_passthrough, expected) in [(false, None), (true, Some("consumer_passthrough"))]
    {
        let broker = Arc::new(ScriptedBroker::new());
        broker.on_silent(Answer::Now(Ok(token("t-1"))));
        let options = CredentialOptions { enable_msa_passthrough, ..Default::default() };
        credential(&broker, options).acquire(QUERY).await.unwrap();
        let Some(Received::Silent(request)) = broker.received().pop() else { panic!("a request") };
        let sent = request.parameters.extra_query.get("msal_request_type");
        assert_eq!(sent.map(String::as_str), expected);
    }
}

#[tokio::test]
async fn claims_of_a_refusal_are_passed_on_to_the_sign_in() {
    let broker = Arc::new(ScriptedBroker::new());
    let claims = Claims::parse(CHALLENGE).unwrap();
    let kind = ErrorKind::InteractionRequired { claims: claims.clone(), suberror: None };
    broker.on_silent(Answer::Now(Err(Error::new(kind, "more proof is needed"))));
    broker.on_interactive(Answer::Now(Ok(token("t-1"))));
    credential(&broker, CredentialOptions::default()).acquire(QUERY).await.unwrap();
    let Some(Received::Interactive(request)) = broker.received().pop() else {
        panic!("a sign-in");
    };
    assert_eq!(request.parameters.claims, claims);
}

#[tokio::test]
async fn once_an_account_has_signed_in_the_credential_stays_with_it_inv_i8() {
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Now(Ok(token("t-1"))));
    broker.on_silent(Answer::Now(Ok(token("t-2"))));
    let credential = credential(&broker, CredentialOptions::default());
    credential.acquire(QUERY).await.unwrap();
    let other = TokenQuery { scopes: &["https://vault.azure.net/.default"], ..QUERY };
    credential.acquire(other).await.unwrap();
    let signed_in = sample::account().home_account_id;
    assert_eq!(choices(&broker), [AccountChoice::Only, AccountChoice::Exact(signed_in)]);
}

#[tokio::test]
async fn the_options_decide_which_account_is_asked_for() {
    let named = |text: &str| Some(text.to_owned());
    let cases = [
        (CredentialOptions::default(), AccountChoice::Only),
        (
            CredentialOptions { use_default_broker_account: true, ..Default::default() },
            AccountChoice::Default,
        ),
        (
            CredentialOptions { login_hint: named("a@x"), ..Default::default() },
            AccountChoice::LoginHint("a@x".into()),
        ),
        (
            CredentialOptions {
                login_hint: named("a@x"),
                home_account_id: named("o.t"),
                ..Default::default()
            },
            AccountChoice::Exact(HomeAccountId::parse("o.t").unwrap()),
        ),
    ];
    for (options, expected) in cases {
        let broker = Arc::new(ScriptedBroker::new());
        broker.on_silent(Answer::Now(Ok(token("t-1"))));
        credential(&broker, options).acquire(QUERY).await.unwrap();
        assert_eq!(choices(&broker), [expected]);
    }
}

#[tokio::test]
async fn a_claims_challenge_bypasses_the_held_token_and_its_answer_replaces_it() {
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Now(Ok(token("t-1"))));
    broker.on_silent(Answer::Now(Ok(token("t-2"))));
    let credential = credential(&broker, CredentialOptions::default());
    credential.acquire(QUERY).await.unwrap();
    let challenged = TokenQuery { claims: Some(CHALLENGE), ..QUERY };
    assert_eq!(credential.acquire(challenged).await.unwrap().access_token.expose(), "t-2");
    assert_eq!(credential.acquire(QUERY).await.unwrap().access_token.expose(), "t-2");
}

#[tokio::test]
async fn people_are_named_in_the_log_on_request_only_and_secrets_never_inv_i5() {
    let mut check = LeakCheck::start();
    check.secret("access token", "token-of-the-log-test");
    check.secret("username", "unnamed-in-the-log@contoso.example");
    let cases = [
        (true, "named-in-the-log@contoso.example", Ok(token("token-of-the-log-test"))),
        (false, "unnamed-in-the-log@contoso.example", Ok(token("token-of-the-log-test"))),
        (
            false,
            "unnamed-in-the-log@contoso.example",
            Err(Error::transient(None, "the server says unnamed-in-the-log@contoso.example")),
        ),
    ];
    for (enable_support_logging, username, answer) in cases {
        let broker = Arc::new(ScriptedBroker::new());
        let account = Account { username: username.to_owned(), ..sample::account() };
        broker.on_silent(Answer::Now(answer.map(|token| Token { account, ..token })));
        let options = CredentialOptions {
            login_hint: Some(username.to_owned()),
            enable_support_logging,
            ..Default::default()
        };
        let _ = credential(&broker, options).acquire(QUERY).await;
    }
    let log = check.log();
    assert!(log.contains("requesting a token without the person"), "{log}");
    assert!(log.contains("named-in-the-log@contoso.example"), "{log}");
    check.assert_clean();
}

#[tokio::test]
async fn callers_that_want_the_same_at_the_same_time_are_one_request_inv_i6() {
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::After(Duration::from_millis(50), Ok(token("t-1"))));
    let credential = credential(&broker, CredentialOptions::default());
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let credential = credential.clone();
        callers.spawn(async move { credential.acquire(QUERY).await });
    }
    while let Some(acquired) = callers.join_next().await {
        assert_eq!(acquired.unwrap().unwrap().access_token.expose(), "t-1");
    }
    assert_eq!(broker.received().len(), 1);
}

#[tokio::test]
async fn a_person_is_asked_once_for_all_that_is_wanted_at_the_same_time() {
    let broker = Arc::new(ScriptedBroker::new());
    let no_account = || Answer::Now(Err(Error::interaction_required("no account is connected")));
    broker.on_silent(no_account());
    broker.on_silent(no_account());
    broker.on_interactive(Answer::After(Duration::from_millis(100), Ok(token("t-1"))));
    broker.on_silent(Answer::Now(Ok(token("t-2"))));
    let credential = credential(&broker, CredentialOptions::default());
    let other = TokenQuery { scopes: &["https://vault.azure.net/.default"], ..QUERY };
    let second = async {
        broker.wait_for_calls(2).await;
        credential.acquire(other).await
    };
    let (first, second) = tokio::join!(credential.acquire(QUERY), second);
    assert_eq!(first.unwrap().access_token.expose(), "t-1");
    assert_eq!(second.unwrap().access_token.expose(), "t-2");
    let sign_ins = broker.received().into_iter().filter(|r| matches!(r, Received::Interactive(_)));
    assert_eq!(sign_ins.count(), 1);
}

#[tokio::test]
async fn a_broker_that_never_answers_ends_at_the_timeout_inv_i7() {
    const LIMIT: Duration = Duration::from_millis(300);
    let silent = Arc::new(ScriptedBroker::new());
    silent.on_silent(Answer::Hang);
    let interactive = Arc::new(ScriptedBroker::new());
    interactive.on_silent(Answer::Now(Err(Error::interaction_required("no account is connected"))));
    interactive.on_interactive(Answer::Hang);
    for broker in [silent, interactive] {
        let started = Instant::now();
        let error = credential_error(&broker, limited(LIMIT)).await;
        assert_eq!(*error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(started.elapsed() < LIMIT + Duration::from_millis(200), "{:?}", started.elapsed());
    }
}

#[test]
fn a_caller_that_cannot_await_is_limited_and_can_be_interrupted_inv_i7() {
    let hanging = || {
        let broker = Arc::new(ScriptedBroker::new());
        broker.on_silent(Answer::Hang);
        broker
    };
    let limit = Duration::from_millis(300);
    let started = Instant::now();
    let error = credential(&hanging(), limited(limit)).acquire_blocking(QUERY, || false);
    assert_eq!(*error.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() < limit + Duration::from_millis(200));

    let patient = credential(&hanging(), CredentialOptions::default());
    let started = Instant::now();
    let error = patient.acquire_blocking(QUERY, || true).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert!(started.elapsed() < Duration::from_millis(200));
}

#[test]
fn no_async_runtime_is_needed() {
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Now(Ok(token("t-1"))));
    let credential = credential(&broker, CredentialOptions::default());
    let token = futures_executor::block_on(credential.acquire(QUERY)).unwrap();
    assert_eq!(token.access_token.expose(), "t-1");
}

#[tokio::test]
async fn wrong_queries_are_refused_before_anybody_is_asked() {
    let broker = Arc::new(ScriptedBroker::new());
    let tenant_id = Some("contoso.example".to_owned());
    let credential = credential(&broker, CredentialOptions { tenant_id, ..Default::default() });
    let mixed = ["https://storage.azure.com/.default", "https://vault.azure.net/.default"];
    let cases = [
        (TokenQuery { scopes: &[], ..QUERY }, "scopes"),
        (TokenQuery { scopes: &mixed, ..QUERY }, "scopes"),
        (TokenQuery { claims: Some("nonsense"), ..QUERY }, "claims"),
        (TokenQuery { tenant_id: Some("fabrikam.example"), ..QUERY }, "tenant_id"),
    ];
    for (query, field) in cases {
        let error = credential.acquire(query).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidRequest { field: field.into() });
    }
    assert!(broker.received().is_empty());
}

async fn credential_error(broker: &Arc<ScriptedBroker>, options: CredentialOptions) -> Error {
    credential(broker, options).acquire(QUERY).await.unwrap_err()
}
