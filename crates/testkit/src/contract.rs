//! The contract of every broker, as one suite of tests for all of them.
//!
//! Implement [`ContractFixture`] for a broker and call [`contract_tests!`](crate::contract_tests)
//! with an expression that makes the fixture. Each promise becomes a separate test.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a check fails by panicking")]
#![expect(clippy::missing_panics_doc, reason = "each check panics if the promise is broken")]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybearer_core::{
    Account, AccountChoice, AccountsRequest, Broker, Caller, CancelRequest, CorrelationId,
    ErrorKind, HomeAccountId, HttpRequestToSign, InteractiveRequest, Missing, Prompt,
    ProofOfPossession, RemoveAccountRequest, Result, SignHttpRequest, SignedHttpRequest,
    SilentRequest, SsoCookieRequest, Timestamp, Token, TokenParameters, TokenType,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::sample;

/// The state of a broker when a check starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Situation {
    /// No account is connected, and no person answers a sign-in.
    NoAccount,
    /// One account is connected and has tokens.
    OneAccount,
    /// No account is connected; the person signs in when asked.
    SignInSucceeds,
    /// No account is connected; the person does not react when asked.
    SignInUnanswered,
}

/// One program that uses the broker.
#[derive(Clone, Debug)]
pub struct Party {
    /// Its connection to the broker.
    pub broker: Arc<dyn Broker>,
    /// Its identity; the two parties of a fixture have different ones.
    pub caller: Caller,
}

/// Brings a broker into the situations of the checks.
#[async_trait]
pub trait ContractFixture: Send + Sync {
    /// Two programs that use one new broker.
    async fn parties(&self, situation: Situation) -> [Party; 2];

    /// A request that the broker can answer where there is an account. The checks fill in account,
    /// timeout and caller.
    fn parameters(&self) -> TokenParameters;

    /// The broker's time.
    fn now(&self) -> Timestamp;
}

/// Makes a test of every promise. The argument is an expression of a [`ContractFixture`], evaluated
/// for each test inside of tokio; the calling crate needs tokio's `macros`.
#[macro_export]
macro_rules! contract_tests {
    ($fixture:expr) => {
        $crate::contract_tests! { $fixture =>
            connected_accounts_are_listed
            without_an_account_a_silent_request_requires_interaction
            a_token_has_the_requested_scopes_and_expires_later
            the_account_that_was_asked_for_is_used
            i8_an_account_that_was_asked_for_is_never_replaced
            a_sign_in_gives_a_token_and_connects_the_account
            i8_a_sign_in_by_somebody_else_is_no_answer_to_an_exact_request
            i7_an_unanswered_sign_in_times_out_in_time
            i7_a_cancelled_sign_in_ends_and_those_of_others_do_not
            a_sign_in_that_is_given_up_leaves_the_broker_usable
            cancelling_without_a_waiting_request_is_no_error
            a_removed_account_is_forgotten
            removing_an_unknown_account_is_an_invalid_request
            without_a_registered_device_there_is_no_cookie
        }
    };
    ($fixture:expr => $($name:ident)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::contract::$name(&$fixture).await;
            }
        )+
    };
}

/// Makes the tests of brokers that bind tokens to keys.
#[macro_export]
macro_rules! proof_contract_tests {
    ($fixture:expr) => {
        $crate::contract_tests! { $fixture =>
            a_token_bound_to_the_brokers_key_comes_signed_for_one_request
            a_token_bound_to_an_apps_key_comes_as_it_is
        }
    };
}

/// Makes the tests of brokers that bind no tokens to keys.
#[macro_export]
macro_rules! bearer_contract_tests {
    ($fixture:expr) => {
        $crate::contract_tests! { $fixture =>
            a_bearer_token_never_stands_in_for_a_bound_one
        }
    };
}

/// Makes the tests of brokers that also sign without a token
/// ([`Broker::sign_http_request`]).
#[macro_export]
macro_rules! signing_contract_tests {
    ($fixture:expr) => {
        $crate::contract_tests! { $fixture =>
            the_key_of_an_account_signs_requests_without_a_token
            i8_nobody_elses_key_signs_for_an_account_that_was_asked_for
        }
    };
}

/// How much later than its limit a request may end.
const TOLERANCE: Duration = Duration::from_millis(200);

/// Long enough for any answer that does not wait for a person.
const CONTRACT_LIMIT: Duration = Duration::from_secs(60);

/// Each connected account is in the list.
pub async fn connected_accounts_are_listed(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    assert_eq!(accounts(&party).await.len(), 1);
    let [party, _] = fixture.parties(Situation::NoAccount).await;
    assert_eq!(accounts(&party).await, []);
}

/// Without connected accounts, every choice of account requires a sign-in.
pub async fn without_an_account_a_silent_request_requires_interaction(
    fixture: &dyn ContractFixture,
) {
    let [party, _] = fixture.parties(Situation::NoAccount).await;
    for choice in [AccountChoice::Only, AccountChoice::Default] {
        let outcome = silent(fixture, &party, choice).await;
        assert_interaction_required(outcome);
    }
}

/// A token has what a program needs to use it.
pub async fn a_token_has_the_requested_scopes_and_expires_later(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    let token = silent(fixture, &party, AccountChoice::Only).await.unwrap();
    let granted: Vec<&str> = token.granted_scopes.iter().collect();
    for scope in fixture.parameters().scopes.iter() {
        assert!(granted.contains(&scope), "{scope} should be granted");
    }
    assert!(token.expires_on > fixture.now(), "the token should expire later");
    assert!(!token.access_token.expose().is_empty(), "the token should not be empty");
}

/// The account is found by id, by name in any case, and as the only one.
pub async fn the_account_that_was_asked_for_is_used(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    let account = accounts(&party).await.remove(0);
    for choice in [
        AccountChoice::Exact(account.home_account_id.clone()),
        AccountChoice::LoginHint(account.username.to_uppercase()),
        AccountChoice::Only,
        AccountChoice::Default,
    ] {
        let token = silent(fixture, &party, choice).await.unwrap();
        assert_eq!(token.account.home_account_id, account.home_account_id);
    }
}

/// A request for an unknown account does not use the connected one (invariant I8).
pub async fn i8_an_account_that_was_asked_for_is_never_replaced(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    for choice in [
        AccountChoice::Exact(unknown_account()),
        AccountChoice::LoginHint("unknown@unknown.example".into()),
    ] {
        assert_interaction_required(silent(fixture, &party, choice).await);
    }
}

/// The account is connected afterwards, also for other programs.
pub async fn a_sign_in_gives_a_token_and_connects_the_account(fixture: &dyn ContractFixture) {
    let [party, other] = fixture.parties(Situation::SignInSucceeds).await;
    let token = interactive(fixture, &party, CONTRACT_LIMIT, AccountChoice::Only).await.unwrap();
    let listed = accounts(&other).await;
    assert_eq!(listed.first(), Some(&token.account));
    let again = silent(fixture, &other, AccountChoice::Only).await.unwrap();
    assert_eq!(again.account, token.account);
}

/// If the person signs in with another account than the requested one, the program gets an error
/// (invariant I8).
pub async fn i8_a_sign_in_by_somebody_else_is_no_answer_to_an_exact_request(
    fixture: &dyn ContractFixture,
) {
    let [party, _] = fixture.parties(Situation::SignInSucceeds).await;
    let exact = AccountChoice::Exact(unknown_account());
    assert_interaction_required(interactive(fixture, &party, CONTRACT_LIMIT, exact).await);
}

/// The caller sets the limit (invariant I7).
pub async fn i7_an_unanswered_sign_in_times_out_in_time(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::SignInUnanswered).await;
    let limit = Duration::from_millis(150);
    let begin = Instant::now();
    let error = interactive(fixture, &party, limit, AccountChoice::Only).await.unwrap_err();
    let waited = begin.elapsed();
    assert_eq!(*error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(waited < limit + TOLERANCE, "it should end after {limit:?}, not {waited:?}");
}

/// Cancelling ends the requests of one caller (invariant I7).
pub async fn i7_a_cancelled_sign_in_ends_and_those_of_others_do_not(fixture: &dyn ContractFixture) {
    let [party, other] = fixture.parties(Situation::SignInUnanswered).await;
    let sign_in =
        |party| Box::pin(interactive(fixture, party, CONTRACT_LIMIT, AccountChoice::Only));
    let (mut waiting, mut others) = (sign_in(&party), sign_in(&other));
    let ended = cancel_until_ended(&party, &mut waiting, &mut others).await;
    assert_eq!(*ended.unwrap_err().kind(), ErrorKind::Cancelled);
    let ended = cancel_until_ended(&other, &mut others, &mut std::future::pending()).await;
    assert_eq!(*ended.unwrap_err().kind(), ErrorKind::Cancelled);
}

/// Dropping the future of a request cancels it.
pub async fn a_sign_in_that_is_given_up_leaves_the_broker_usable(fixture: &dyn ContractFixture) {
    let [party, other] = fixture.parties(Situation::SignInUnanswered).await;
    let sign_in = interactive(fixture, &party, CONTRACT_LIMIT, AccountChoice::Only);
    let given_up = timeout(Duration::from_millis(50), sign_in).await;
    assert!(given_up.is_err(), "there should be no answer yet");
    for party in [&party, &other] {
        assert_eq!(accounts(party).await, []);
    }
}

/// Cancelling after the end of a request is no error.
pub async fn cancelling_without_a_waiting_request_is_no_error(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    cancel(&party).await.unwrap();
    assert_eq!(accounts(&party).await.len(), 1);
}

/// A removed account is neither listed nor used.
pub async fn a_removed_account_is_forgotten(fixture: &dyn ContractFixture) {
    let [party, other] = fixture.parties(Situation::OneAccount).await;
    let account = accounts(&party).await.remove(0);
    remove(&party, account.home_account_id.clone()).await.unwrap();
    for party in [&party, &other] {
        assert_eq!(accounts(party).await, []);
        let choice = AccountChoice::Exact(account.home_account_id.clone());
        assert_interaction_required(silent(fixture, party, choice).await);
    }
}

/// Removing an unknown account is an error, and the connected one stays.
pub async fn removing_an_unknown_account_is_an_invalid_request(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    let error = remove(&party, unknown_account()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidRequest { field: "account".into() });
    assert_eq!(accounts(&party).await.len(), 1);
}

/// There is no invented answer.
pub async fn without_a_registered_device_there_is_no_cookie(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    let request = SsoCookieRequest {
        account: AccountChoice::Only,
        sso_url: None,
        correlation_id: CorrelationId::default(),
        deadline: sample::deadline(CONTRACT_LIMIT),
    };
    let error = party.broker.sso_cookie(request).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::DeviceRegistration), "{error}");
}

/// Each request has a new proof of possession of the key that the token is bound to.
pub async fn a_token_bound_to_the_brokers_key_comes_signed_for_one_request(
    fixture: &dyn ContractFixture,
) {
    let [party, other] = fixture.parties(Situation::OneAccount).await;
    let ask = async |party: &Party, http| {
        let proof = ProofOfPossession::Signed(http);
        let token = bound(fixture, party, proof).await.unwrap();
        assert_eq!(token.token_type, TokenType::ProofOfPossession);
        parts(token.access_token.expose())
    };
    let (header, first) = ask(&party, http_request()).await;
    assert_eq!((&header["typ"], &header["alg"]), (&json!("pop"), &json!("RS256")));
    let signed = [&first["m"], &first["u"], &first["p"]];
    assert_eq!(signed, ["GET", "graph.microsoft.com", "/v1.0/me"]);
    assert!(first["at"].is_string() && first["ts"].is_i64() && first["cnf"]["jwk"].is_object());
    let (same, second) = ask(&other, http_request()).await;
    assert_eq!(same["kid"], header["kid"], "the account's key");
    assert_ne!(first["nonce"], second["nonce"], "a signature is for one request");
    let nonce = Some("the server's".to_owned());
    let (_, third) = ask(&party, HttpRequestToSign { nonce, ..http_request() }).await;
    assert_eq!(third["nonce"], "the server's");
    let bearer = silent(fixture, &party, AccountChoice::Only).await.unwrap();
    assert_eq!(bearer.token_type, TokenType::Bearer, "who asks for no proof gets none");
}

/// A bearer token would be accepted from any sender.
pub async fn a_bearer_token_never_stands_in_for_a_bound_one(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    let own = ProofOfPossession::BoundTo { key_id: "app-key".into() };
    for proof in [ProofOfPossession::Signed(http_request()), own] {
        let error = bound(fixture, &party, proof).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Key), "{error}");
    }
}

/// For an app's own key, the broker returns a bound token and the app signs.
pub async fn a_token_bound_to_an_apps_key_comes_as_it_is(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    let proof = ProofOfPossession::BoundTo { key_id: "app-key".into() };
    let token = bound(fixture, &party, proof).await.unwrap();
    assert_eq!(token.token_type, TokenType::ProofOfPossession);
    assert_eq!(token.access_token.expose().split('.').nth(2), None, "it is not signed again");
}

/// The signing key is the one that the account's tokens are bound to.
pub async fn the_key_of_an_account_signs_requests_without_a_token(fixture: &dyn ContractFixture) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    let account = accounts(&party).await.remove(0);
    let proof = ProofOfPossession::Signed(http_request());
    let token = bound(fixture, &party, proof).await.unwrap();
    let account = AccountChoice::Exact(account.home_account_id);
    let signed = sign(&party, account).await.unwrap();
    let (header, claims) = parts(signed.expose());
    assert_eq!(header["kid"], parts(token.access_token.expose()).0["kid"]);
    assert_eq!((&claims["p"], &claims["at"]), (&json!("/v1.0/me"), &Value::Null));
}

/// An unknown account has no key, also if another account is connected (invariant I8).
pub async fn i8_nobody_elses_key_signs_for_an_account_that_was_asked_for(
    fixture: &dyn ContractFixture,
) {
    let [party, _] = fixture.parties(Situation::OneAccount).await;
    assert_interaction_required(sign(&party, AccountChoice::Exact(unknown_account())).await);
}

fn http_request() -> HttpRequestToSign {
    HttpRequestToSign {
        method: Some("GET".into()),
        host: Some("graph.microsoft.com".into()),
        path: Some("/v1.0/me".into()),
        ..HttpRequestToSign::default()
    }
}

/// Header and claims of a JWS.
fn parts(signed: &str) -> (Value, Value) {
    let mut parts = signed.split('.');
    let mut part = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok();
    (part().expect("a header"), part().expect("claims"))
}

async fn bound(
    fixture: &dyn ContractFixture,
    party: &Party,
    proof: ProofOfPossession,
) -> Result<Token> {
    let parameters = TokenParameters {
        account: AccountChoice::Only,
        deadline: sample::deadline(CONTRACT_LIMIT),
        caller: party.caller.clone(),
        proof_of_possession: Some(proof),
        ..fixture.parameters()
    };
    party.broker.acquire_silent(SilentRequest { parameters }).await
}

async fn sign(party: &Party, account: AccountChoice) -> Result<SignedHttpRequest> {
    let request = SignHttpRequest {
        client_id: None,
        account,
        http: http_request(),
        correlation_id: CorrelationId::default(),
        deadline: sample::deadline(CONTRACT_LIMIT),
    };
    party.broker.sign_http_request(request).await
}

async fn accounts(party: &Party) -> Vec<Account> {
    let correlation_id = CorrelationId::default();
    let request = AccountsRequest {
        client_id: None,
        correlation_id,
        deadline: sample::deadline(CONTRACT_LIMIT),
    };
    party.broker.accounts(request).await.unwrap()
}

async fn silent(
    fixture: &dyn ContractFixture,
    party: &Party,
    account: AccountChoice,
) -> Result<Token> {
    let caller = party.caller.clone();
    let parameters = TokenParameters {
        account,
        deadline: sample::deadline(CONTRACT_LIMIT),
        caller,
        ..fixture.parameters()
    };
    party.broker.acquire_silent(SilentRequest { parameters }).await
}

async fn interactive(
    fixture: &dyn ContractFixture,
    party: &Party,
    limit: Duration,
    account: AccountChoice,
) -> Result<Token> {
    let caller = party.caller.clone();
    let parameters = TokenParameters {
        account,
        deadline: sample::deadline(limit),
        caller,
        ..fixture.parameters()
    };
    let prompt = Prompt::IfNeeded;
    party.broker.acquire_interactive(InteractiveRequest::new(parameters, prompt)).await
}

async fn remove(party: &Party, home_account_id: HomeAccountId) -> Result<()> {
    let correlation_id = CorrelationId::default();
    let request = RemoveAccountRequest {
        home_account_id,
        correlation_id,
        deadline: sample::deadline(CONTRACT_LIMIT),
    };
    party.broker.remove_account(request).await
}

async fn cancel(party: &Party) -> Result<()> {
    party.broker.cancel(CancelRequest { caller: party.caller.clone() }).await
}

/// Cancels repeatedly, because the test cannot see when the request has reached the broker.
async fn cancel_until_ended(
    party: &Party,
    waiting: &mut (impl Future<Output = Result<Token>> + Unpin),
    others: &mut (impl Future<Output = Result<Token>> + Unpin),
) -> Result<Token> {
    let ended = async {
        loop {
            tokio::select! {
                outcome = &mut *waiting => return outcome,
                outcome = &mut *others => panic!("the other request ended too: {outcome:?}"),
                () = tokio::time::sleep(Duration::from_millis(10)) => cancel(party).await.unwrap(),
            }
        }
    };
    timeout(CONTRACT_LIMIT, ended).await.expect("cancelling should end the request")
}

fn unknown_account() -> HomeAccountId {
    HomeAccountId::parse("00000000-0000-0000-0000-0000000000ff.nowhere").unwrap()
}

fn assert_interaction_required(outcome: Result<impl fmt::Debug>) {
    let error = outcome.unwrap_err();
    let required = matches!(error.kind(), ErrorKind::InteractionRequired { .. });
    assert!(required, "interaction should be required, but: {error:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::MemoryBroker;
    use crate::sample;

    struct Memory;

    #[async_trait]
    impl ContractFixture for Memory {
        async fn parties(&self, situation: Situation) -> [Party; 2] {
            let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::in_situation(situation));
            ["one", "two"]
                .map(|name| Party { broker: Arc::clone(&broker), caller: sample::caller(name) })
        }

        fn parameters(&self) -> TokenParameters {
            sample::parameters()
        }

        fn now(&self) -> Timestamp {
            sample::now()
        }
    }

    contract_tests!(Memory);
    proof_contract_tests!(Memory);
    signing_contract_tests!(Memory);
}
