//! A client and a server over a socket, without a bus.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keybearer_core::{
    AccessToken, AccountChoice, AccountsRequest, Broker, CallerId, CorrelationId, Denial, Error,
    ErrorContext, ErrorKind, HomeAccountId, HttpRequestToSign, IdToken, InteractiveRequest,
    Missing, Prompt, ProofOfPossession, SilentRequest, SsoCookie, SsoCookieContent,
    SsoCookieRequest, Token, TokenParameters, TokenSource, TokenType,
};
use keybearer_dbus::client::BrokerProxy;
use keybearer_dbus::interface::{INTERFACE, OBJECT_PATH};
use keybearer_dbus::message::{AcquireTokenInteractively, Method};
use keybearer_dbus::server::{MAX_PENDING, Session};
use keybearer_testkit::capture::LeakCheck;
use keybearer_testkit::double::{Answer, Received, ScriptedBroker};
use keybearer_testkit::sample;
use support::{SocketBroker, TEST_LIMIT};
use tokio::net::UnixListener;

fn token(access_token: &str) -> Token {
    Token {
        access_token: AccessToken::new(access_token.into()),
        token_type: TokenType::Bearer,
        expires_on: sample::now() + Duration::from_secs(3600),
        refresh_on: Some(sample::now() + Duration::from_millis(1_800_001)),
        granted_scopes: sample::parameters().scopes,
        account: sample::account(),
        id_token: Some(IdToken::new("e30.e30.id-token-marker".into())),
        source: TokenSource::Refresh,
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn silent() -> SilentRequest {
    SilentRequest { parameters: sample::parameters() }
}

fn interactive() -> InteractiveRequest {
    InteractiveRequest::new(sample::parameters(), Prompt::Login)
}

fn accounts() -> AccountsRequest {
    let correlation_id = CorrelationId::new("c-accounts");
    AccountsRequest { client_id: None, correlation_id, deadline: sample::deadline(TEST_LIMIT) }
}

async fn connected() -> (Arc<ScriptedBroker>, SocketBroker, BrokerProxy) {
    let broker = Arc::new(ScriptedBroker::new());
    let socket = SocketBroker::serve(Arc::clone(&broker) as Arc<dyn Broker>);
    let proxy = socket.connect().await;
    (broker, socket, proxy)
}

#[tokio::test]
async fn a_request_and_its_token_arrive_whole() {
    let (broker, _socket, proxy) = connected().await;
    broker.on_interactive(Answer::Now(Ok(token("at"))));
    let parameters = TokenParameters {
        account: AccountChoice::Exact(sample::account().home_account_id),
        claims: keybearer_core::Claims::parse(r#"{"id_token":{"acr":null}}"#).unwrap(),
        capabilities: keybearer_core::Capabilities::continuous_access_evaluation(),
        access_token_to_renew: Some(AccessToken::new("old".into())),
        extra_query: [("domain_hint".to_owned(), "contoso".to_owned())].into(),
        redirect_uri: Some("http://localhost/".parse().unwrap()),
        deadline: sample::deadline(Duration::from_millis(5432)),
        ..sample::parameters()
    };
    let request = InteractiveRequest::new(parameters.clone(), Prompt::Login);
    let received = proxy.acquire_interactive(request).await.unwrap();
    let sent = token("at");
    assert!(received.access_token.same_as(&sent.access_token));
    assert!(received.id_token.unwrap().same_as(&sent.id_token.unwrap()));
    assert_eq!(
        (received.account, received.expires_on, received.refresh_on, received.source),
        (sent.account, sent.expires_on, sent.refresh_on, sent.source)
    );
    let calls = broker.received();
    let [Received::Interactive(arrived)] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(arrived.prompt, Prompt::Login);
    let mut arrived = arrived.parameters.clone();
    let process = arrived.caller.process.clone().unwrap();
    assert_eq!(process.pid, std::process::id());
    assert!(arrived.access_token_to_renew.take().unwrap().same_as(&AccessToken::new("old".into())));
    // What was left when the request was written is counted from when it arrived.
    let late = arrived.deadline.left(now()).abs_diff(parameters.deadline.left(now()));
    assert!(late < Duration::from_millis(500), "the deadline moved by {late:?}");
    arrived.deadline = parameters.deadline;
    arrived.caller = parameters.caller.clone();
    let sent = TokenParameters { access_token_to_renew: None, ..parameters };
    assert_eq!(format!("{arrived:?}"), format!("{sent:?}"));
}

#[tokio::test]
async fn each_open_account_choice_arrives_as_itself() {
    let (broker, _socket, proxy) = connected().await;
    let hint = AccountChoice::LoginHint("dev@contoso.example".into());
    for account in [AccountChoice::Only, AccountChoice::Default, hint] {
        broker.on_silent(Answer::Now(Ok(token("at"))));
        let parameters = TokenParameters { account: account.clone(), ..sample::parameters() };
        proxy.acquire_silent(SilentRequest { parameters }).await.unwrap();
        let Some(Received::Silent(arrived)) = broker.received().pop() else { panic!() };
        assert_eq!(arrived.parameters.account, account);
    }
}

#[tokio::test]
async fn an_error_arrives_whole() {
    let (broker, _socket, proxy) = connected().await;
    let context = ErrorContext {
        message: "redeem the code".into(),
        code: Some("AADSTS50011".into()),
        hint: Some("register http://localhost".into()),
        ..ErrorContext::default()
    };
    let error = Error::from_parts(ErrorKind::Denied(Denial::Configuration), context.clone());
    broker.on_silent(Answer::Now(Err(error)));
    let error = proxy.acquire_silent(silent()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Denied(Denial::Configuration));
    let correlation_id = silent().parameters.correlation_id;
    assert_eq!(*error.context(), ErrorContext { correlation_id, ..context });
}

#[tokio::test]
async fn i8_another_accounts_token_is_refused() {
    let (broker, _socket, proxy) = connected().await;
    broker.on_silent(Answer::Now(Ok(token("at"))));
    let account = AccountChoice::LoginHint("ops@contoso.example".into());
    let parameters = TokenParameters { account, ..sample::parameters() };
    let error = proxy.acquire_silent(SilentRequest { parameters }).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn i8_whoever_signs_in_may_differ_from_a_hint_but_not_from_an_exact_account() {
    let (broker, _socket, proxy) = connected().await;
    let ask = |account| {
        let parameters = TokenParameters { account, ..sample::parameters() };
        proxy.acquire_interactive(InteractiveRequest::new(parameters, Prompt::IfNeeded))
    };
    for _ in 0..2 {
        broker.on_interactive(Answer::Now(Ok(token("at"))));
    }
    ask(AccountChoice::LoginHint("ops@contoso.example".into())).await.unwrap();
    let other = AccountChoice::Exact(HomeAccountId::parse("other.tenant").unwrap());
    let error = ask(other).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InteractionRequired { .. }), "{error}");
}

#[tokio::test]
async fn a_bearer_token_in_place_of_a_signed_request_is_refused() {
    let (broker, _socket, proxy) = connected().await;
    let ask = |proof| SilentRequest {
        parameters: TokenParameters { proof_of_possession: Some(proof), ..sample::parameters() },
    };
    broker.on_silent(Answer::Now(Ok(token("at"))));
    let signed = ProofOfPossession::Signed(HttpRequestToSign::default());
    let error = proxy.acquire_silent(ask(signed)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{error}");
    // Whether a token is bound to an app's key, other brokers do not say.
    broker.on_silent(Answer::Now(Ok(token("at"))));
    let bound = ProofOfPossession::BoundTo { key_id: "k".into() };
    proxy.acquire_silent(ask(bound)).await.unwrap();
}

#[tokio::test]
async fn a_waiting_sign_in_delays_no_silent_call() {
    let (broker, _socket, proxy) = connected().await;
    broker.on_interactive(Answer::Hang);
    broker.on_silent(Answer::Now(Ok(token("at"))));
    let waiting = tokio::spawn({
        let proxy = proxy.clone();
        async move { proxy.acquire_interactive(interactive()).await }
    });
    broker.wait_for_calls(1).await;
    proxy.acquire_silent(silent()).await.unwrap();
    assert!(!waiting.is_finished());
}

#[tokio::test]
async fn dropping_a_sign_in_cancels_it_in_the_broker() {
    let (broker, _socket, proxy) = connected().await;
    broker.on_interactive(Answer::Hang);
    {
        let mut waiting = Box::pin(proxy.acquire_interactive(interactive()));
        tokio::select! {
            outcome = &mut waiting => panic!("{outcome:?}"),
            () = broker.wait_for_calls(1) => {}
        }
    }
    tokio::time::timeout(TEST_LIMIT, broker.wait_for_cancels(1)).await.unwrap();
}

#[tokio::test]
async fn the_broker_calls_back_what_its_caller_can_show_inv_i5() {
    let mut check = LeakCheck::start();
    check.secret("pasted code", "pasted-code-marker");
    let (broker, _socket, proxy) = connected().await;
    support::presenting::acts_arrive(&broker, &proxy).await;
    check.assert_clean();
}

/// A call that arrives before its object is looked after would wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_caller_is_ready_to_be_called_back_however_soon() {
    for _ in 0..200 {
        let (broker, _socket, proxy) = connected().await;
        let caller_ui = support::presenting::caller_ui();
        let (call, remote) = support::presenting::waiting(&broker, &proxy, &caller_ui).await;
        tokio::time::timeout(TEST_LIMIT, remote.point_to_browser()).await.unwrap();
        assert_eq!(caller_ui.shown().pointed, 1);
        call.abort();
    }
}

#[tokio::test]
async fn a_caller_that_disconnects_is_not_waited_for() {
    let (broker, _socket, proxy) = connected().await;
    let caller_ui = support::presenting::caller_ui();
    let (call, remote) = support::presenting::waiting(&broker, &proxy, &caller_ui).await;
    let pasting = tokio::spawn(async move { remote.paste(None).await });
    while caller_ui.shown().complaints.is_empty() {
        tokio::task::yield_now().await;
    }
    proxy.connection().clone().close().await.unwrap();
    let pasted = tokio::time::timeout(TEST_LIMIT, pasting).await.unwrap().unwrap();
    assert_eq!(*pasted.unwrap_err().kind(), ErrorKind::Cancelled);
    call.abort();
}

#[tokio::test]
async fn a_client_that_disconnects_ends_its_sign_in() {
    let (broker, socket, _proxy) = connected().await;
    broker.on_interactive(Answer::Hang);
    // A client that knows nothing of cancelling.
    let stream = std::os::unix::net::UnixStream::connect(&socket.path).unwrap();
    stream.set_nonblocking(true).unwrap();
    let client = zbus::connection::Builder::unix_stream(stream).p2p().build().await.unwrap();
    {
        let arguments =
            ("0.0", "", AcquireTokenInteractively::encode_request(&interactive(), now()));
        let call = client.call_method(
            None::<&str>,
            OBJECT_PATH,
            Some(INTERFACE),
            AcquireTokenInteractively::NAME,
            &arguments,
        );
        tokio::select! {
            outcome = call => panic!("{outcome:?}"),
            () = broker.wait_for_calls(1) => {}
        }
    }
    client.close().await.unwrap();
    tokio::time::timeout(TEST_LIMIT, broker.wait_for_cancels(1)).await.unwrap();
}

/// Microsoft's runtime sends both from threads of its own.
#[tokio::test(start_paused = true)]
async fn a_cancellation_that_overtakes_its_sign_in_ends_that_one_and_no_later_one() {
    let broker = Arc::new(ScriptedBroker::new());
    let session = Session::new(broker.clone(), CallerId::new(":1.7"), None);
    let request = AcquireTokenInteractively::encode_request(&interactive(), now());
    let vector = include_str!("../testdata/requests/msal-runtime-cancel.json");
    let cancel = || session.cancel_interactive_flow("another", vector);

    assert_eq!(cancel().await, "{}");
    let reply = session.acquire_token_interactively("c-1", &request, None).await;
    assert!(reply.contains(r#""status":8"#) || reply.contains(r#""status":7"#), "{reply}");
    assert_eq!(broker.received().len(), 0);

    broker.on_interactive(Answer::Now(Ok(token("second"))));
    let reply = session.acquire_token_interactively("c-2", &request, None).await;
    assert!(reply.contains("second"), "{reply}");

    cancel().await;
    tokio::time::advance(Duration::from_millis(501)).await;
    broker.on_interactive(Answer::Now(Ok(token("third"))));
    let reply = session.acquire_token_interactively("c-3", &request, None).await;
    assert!(reply.contains("third"), "{reply}");
}

#[tokio::test]
async fn a_broker_that_ends_during_a_call_is_worth_another_try() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let broker = Arc::new(ScriptedBroker::new());
    broker.on_silent(Answer::Hang);
    let server = std::thread::spawn({
        let (broker, listener) = (Arc::clone(&broker), listener.into_std().unwrap());
        move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::from_std(listener).unwrap();
                let (stream, _) = listener.accept().await.unwrap();
                let serving = keybearer_dbus::server::serve_socket(stream, broker.clone(), 1);
                tokio::select! {
                    outcome = serving => panic!("{outcome:?}"),
                    () = broker.wait_for_calls(1) => {}
                }
            });
        }
    });
    let proxy = BrokerProxy::connect_socket(&path, TEST_LIMIT).await.unwrap();
    let error = proxy.acquire_silent(silent()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Transient { retry_after: None }, "{error}");
    assert!(proxy.is_closed(), "known as soon as the call has failed");
    server.join().unwrap();
    let error = proxy.acquire_silent(silent()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker), "{error}");
    assert!(proxy.is_closed());
}

#[tokio::test]
async fn a_broker_that_panics_still_answers() {
    #[derive(Debug)]
    struct Panics;

    #[async_trait::async_trait]
    impl Broker for Panics {
        fn name(&self) -> &str {
            "panics"
        }
        async fn accounts(
            &self,
            _: AccountsRequest,
        ) -> keybearer_core::Result<Vec<keybearer_core::Account>> {
            panic!("a defect")
        }
        async fn acquire_silent(&self, _: SilentRequest) -> keybearer_core::Result<Token> {
            panic!("a defect")
        }
        async fn acquire_interactive(
            &self,
            _: InteractiveRequest,
        ) -> keybearer_core::Result<Token> {
            panic!("a defect")
        }
        async fn remove_account(
            &self,
            _: keybearer_core::RemoveAccountRequest,
        ) -> keybearer_core::Result<()> {
            panic!("a defect")
        }
        async fn cancel(&self, _: keybearer_core::CancelRequest) -> keybearer_core::Result<()> {
            panic!("a defect")
        }
    }
    let socket = SocketBroker::serve(Arc::new(Panics));
    let proxy = socket.connect().await;
    for _ in 0..2 {
        let error = proxy.accounts(accounts()).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Internal);
    }
}

#[tokio::test]
async fn calls_beyond_the_limit_of_a_connection_are_put_off_and_cancelling_is_not() {
    let (broker, _socket, proxy) = connected().await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..MAX_PENDING {
        broker.on_interactive(Answer::Hang);
        let proxy = proxy.clone();
        waiting.spawn(async move { proxy.acquire_interactive(interactive()).await });
    }
    broker.wait_for_calls(MAX_PENDING).await;
    let error = proxy.accounts(accounts()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transient { .. }), "{error}");
    let caller = sample::parameters().caller;
    proxy.cancel(keybearer_core::CancelRequest { caller }).await.unwrap();
    for outcome in waiting.join_all().await {
        assert_eq!(*outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    }
}

#[tokio::test]
async fn a_missing_a_silent_and_an_open_socket_are_no_broker() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.sock");
    let limit = Duration::from_millis(100);
    let refused = async |why: &str| {
        let error = BrokerProxy::connect_socket(&path, limit).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker));
        assert!(error.to_string().contains(why), "{error}");
    };
    refused("there is no").await;
    let _listener = UnixListener::bind(&path).unwrap();
    refused("did not answer within 100 ms").await;
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(directory.path(), open).unwrap();
    refused("open to others").await;
}

#[tokio::test]
async fn the_version_tells_that_it_is_one_of_ours() {
    let (_broker, _socket, proxy) = connected().await;
    let version = proxy.version(TEST_LIMIT).await.unwrap();
    assert_eq!(version.linux_broker, "3.0.2", "read as newer than 2.0.1");
    assert_eq!(version.keybearer.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(proxy.process().pid, std::process::id());
}

#[tokio::test]
async fn i5_no_secret_of_a_call_is_logged_or_printed() {
    let mut check = LeakCheck::start();
    check.secret("access token", "access-token-marker");
    check.secret("ID token", "id-token-marker");
    check.secret("refused token", "refused-token-marker");
    check.secret("cookie", "cookie-marker");
    let (broker, _socket, proxy) = connected().await;
    broker.on_silent(Answer::Now(Ok(token("access-token-marker"))));
    let old = AccessToken::new("refused-token-marker".into());
    let mut request = silent();
    request.parameters.access_token_to_renew = Some(old);
    check.debugged("a request", &request);
    let token = proxy.acquire_silent(request).await.unwrap();
    check.debugged("a token", &token);
    broker.on_sso_cookie(Answer::Now(Ok(SsoCookie {
        name: "x-ms-RefreshTokenCredential".into(),
        content: SsoCookieContent::new("cookie-marker".into()),
        account: sample::account(),
    })));
    let request = SsoCookieRequest {
        account: AccountChoice::Only,
        sso_url: None,
        correlation_id: CorrelationId::default(),
        deadline: sample::deadline(TEST_LIMIT),
    };
    let cookie = proxy.sso_cookie(request).await.unwrap();
    assert_eq!(cookie.content.expose(), "cookie-marker");
    check.debugged("a cookie", &cookie);
    check.debugged("a proxy", &proxy);
    assert!(check.log().contains("acquireTokenSilently"), "calls should be logged");
    check.assert_clean();
}
