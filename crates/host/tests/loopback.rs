//! A sign-in through the loopback listener, over real sockets (promise I9).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{
    Abilities, Account, AuthorityHost, Caller, CallerUi, ClientId, CorrelationId, Error, ErrorKind,
    HomeAccountId, Missing, Result, ScopeSet, Tenant, TenantId,
};
use keybearer_engine::{AccountPick, SignIn, SignInOutcome, SignInPrompt, SignInUi};
use keybearer_host::{Browser, BrowserLauncher, Environment, Launch, LoopbackUi, SystemRandom};
use reqwest::{Method, Response, StatusCode, redirect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use url::Url;

const PROVIDER: &str = "https://login.example/authorize?state=s1";

/// The person's browser: passes every address that it opens to the test.
#[derive(Debug)]
struct Handover(mpsc::UnboundedSender<Url>);

#[async_trait]
impl BrowserLauncher for Handover {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn open(&self, url: &Url) -> Result<Launch> {
        self.0.send(url.clone()).unwrap();
        Ok(Launch::default())
    }
}

fn prompt(redirect_uri: Option<&str>) -> SignInPrompt {
    SignInPrompt {
        caller: Caller::in_process(),
        client_id: ClientId::parse("app-1").unwrap(),
        authority_host: AuthorityHost::parse("login.example").unwrap(),
        tenant: Tenant::Organizations,
        scopes: ScopeSet::parse(&["User.Read"]).unwrap(),
        redirect_uri: redirect_uri.map(|uri| Url::parse(uri).unwrap()),
        correlation_id: CorrelationId::new("c-1"),
        caller_ui: None,
    }
}

async fn open(redirect_uri: Option<&str>) -> (Box<dyn SignIn>, mpsc::UnboundedReceiver<Url>) {
    let (opened, visits) = mpsc::unbounded_channel();
    let sign_in_ui = LoopbackUi::new(Arc::new(Handover(opened)), Arc::new(SystemRandom));
    (sign_in_ui.open(&prompt(redirect_uri)).await.unwrap(), visits)
}

fn accounts() -> Vec<Account> {
    let account = |name: &str| Account {
        home_account_id: HomeAccountId::parse(&format!("{name}.tid")).unwrap(),
        environment: "login.windows.net".into(),
        realm: TenantId::parse("tid").unwrap(),
        local_account_id: name.into(),
        username: format!("{name}@contoso.example"),
        name: None,
    };
    vec![account("dev"), account("ops")]
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap()
}

async fn get(url: &str) -> (StatusCode, String) {
    read(browser().get(url).send().await.unwrap()).await
}

async fn read(response: Response) -> (StatusCode, String) {
    (response.status(), response.text().await.unwrap())
}

/// Sends a request and returns without waiting for the response, which may take long.
fn visiting(url: String) -> tokio::task::JoinHandle<(StatusCode, String)> {
    tokio::spawn(async move { get(&url).await })
}

fn signed_in() -> SignInOutcome {
    SignInOutcome::SignedIn { username: "dev@contoso.example".into() }
}

#[tokio::test]
async fn an_answer_by_query_or_form_is_handed_over_and_the_browser_told_how_it_ended() {
    for by_form in [false, true] {
        let (mut sign_in, mut visits) = open(None).await;
        let place = sign_in.redirect_uri().to_string();
        sign_in.visit(&Url::parse(PROVIDER).unwrap()).await.unwrap();
        let first = FirstPage::at(visits.recv().await.unwrap(), &["This program", "app-1"]).await;
        assert_eq!(first.choose(&first.token, "dev.tid").await.status(), StatusCode::BAD_REQUEST);
        let response = first.choose(&first.token, "continue").await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()["location"], PROVIDER);
        let request = if by_form {
            let form = "application/x-www-form-urlencoded";
            browser().post(&place).header("content-type", form).body("code=c%201&state=s1")
        } else {
            browser().get(format!("{place}?code=c%201&state=s1"))
        };
        let page = tokio::spawn(async move { read(request.send().await.unwrap()).await });
        let answer = sign_in.answer().await.unwrap();
        assert_eq!((answer.only("code"), answer.only("state")), (Some("c 1"), Some("s1")));
        sign_in.finish(signed_in()).await;
        let (status, text) = page.await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("signed in as dev@contoso.example"), "{text}");
        assert!(!text.contains("c 1") && !text.contains("s1"), "no code on the page: {text}");
        assert!(browser().get(&place).send().await.is_err(), "the port is closed after one use");
    }
}

#[tokio::test]
async fn bad_hits_do_not_keep_the_good_one_out() {
    let (mut sign_in, _visits) = open(None).await;
    let place = sign_in.redirect_uri().to_string();
    let bad = visiting(format!("{place}?code=evil&state=guessed"));
    assert_eq!(sign_in.answer().await.unwrap().only("code"), Some("evil"));
    let good = visiting(format!("{place}?code=good&state=s1"));
    // The right answer is queued while the engine decides about the first.
    sign_in.reject().await;
    assert_eq!(sign_in.answer().await.unwrap().only("code"), Some("good"));
    let late = tokio::spawn(browser().get(format!("{place}?code=good&state=s1")).send());
    let (status, text) = bad.await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("does not belong to the sign-in"), "{text}");
    sign_in.finish(SignInOutcome::Failed { reason: "AADSTS65004 <declined>".into() }).await;
    let (status, text) = good.await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("AADSTS65004 &lt;declined&gt;"), "{text}");
    // The late request either still got a page or found the port closed; it gets nothing else.
    if let Ok(late) = late.await.unwrap() {
        assert!(late.text().await.unwrap().contains("has ended"));
    }
}

#[tokio::test]
async fn what_is_not_an_answer_is_turned_away_and_the_sign_in_goes_on() {
    let (mut sign_in, _visits) = open(None).await;
    let place = sign_in.redirect_uri().to_string();
    let port = sign_in.redirect_uri().port().unwrap();
    let other_host = format!("evil.example:{port}");
    let large = "x".repeat(65 * 1024);
    for (method, path, host, body, expected) in [
        (Method::GET, "", None, "", 404),
        (Method::GET, "favicon.ico", None, "", 404),
        (Method::GET, "other?code=c&state=s1", None, "", 404),
        (Method::HEAD, "?code=c&state=s1", None, "", 404),
        (Method::PUT, "?code=c&state=s1", None, "", 405),
        (Method::OPTIONS, "?code=c&state=s1", None, "", 405),
        (Method::GET, "?code=c&state=s1", Some(&*other_host), "", 421),
        (Method::GET, "?code=c&state=s1", Some("localhost"), "", 421),
        (Method::POST, "", None, "", 404),
        (Method::POST, "", None, &*large, 413),
    ] {
        let url = format!("{place}{path}");
        let mut request = browser().request(method.clone(), &url).body(body.to_owned());
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let (status, _) = read(request.send().await.unwrap()).await;
        assert_eq!(status.as_u16(), expected, "{method} {path} {host:?}");
    }
    for address in ["127.0.0.1", "localhost"] {
        let page = visiting(format!("http://{address}:{port}/?code={address}"));
        assert_eq!(sign_in.answer().await.unwrap().only("code"), Some(address));
        sign_in.reject().await;
        assert_eq!(page.await.unwrap().0, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn pages_are_not_kept_framed_or_allowed_to_load_anything() {
    let (sign_in, _visits) = open(None).await;
    let response = browser().get(sign_in.redirect_uri().clone()).send().await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("x-frame-options"), "DENY");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");
    let nonce = policy.split('\'').nth(3).unwrap().strip_prefix("nonce-").unwrap().to_owned();
    let text = response.text().await.unwrap();
    assert!(text.contains(&format!("<style nonce=\"{nonce}\">")), "{text}");
    assert!(!text.contains("http"), "nothing is loaded: {text}");
}

struct FirstPage {
    url: Url,
    token: String,
}

impl FirstPage {
    async fn at(url: Url, texts: &[&str]) -> Self {
        let (status, text) = get(url.as_str()).await;
        assert_eq!(status, StatusCode::OK);
        for expected in texts.iter().chain(&["Cancel"]) {
            assert!(text.contains(expected), "{text}");
        }
        let (_, rest) = text.split_once("name=\"token\" value=\"").unwrap();
        Self { url, token: rest.split('"').next().unwrap().to_owned() }
    }

    async fn picker(url: Url) -> Self {
        Self::at(url, &["dev@contoso.example", "ops@contoso.example"]).await
    }

    async fn choose(&self, token: &str, account: &str) -> Response {
        let form = format!("token={token}&account={account}");
        browser().post(self.url.clone()).body(form).send().await.unwrap()
    }
}

#[tokio::test]
async fn the_person_chooses_an_account_and_the_same_window_goes_on_to_the_provider() {
    for (choice, expected) in [
        ("ops.tid", AccountPick::Known(HomeAccountId::parse("ops.tid").unwrap())),
        ("another", AccountPick::Another),
    ] {
        let (mut sign_in, mut visits) = open(Some("http://localhost/back?x=1")).await;
        let person = tokio::spawn(async move {
            let picker = FirstPage::picker(visits.recv().await.unwrap()).await;
            for (token, account) in
                [("wrong", "ops.tid"), (&*picker.token, "eve.tid"), (&*picker.token, "")]
            {
                let refused = picker.choose(token, account).await;
                assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
            }
            let response = picker.choose(&picker.token, choice).await;
            assert_eq!(response.status(), StatusCode::SEE_OTHER);
            assert_eq!(response.headers()["location"], PROVIDER);
            let again = read(picker.choose(&picker.token, choice).await).await;
            assert!(again.1.contains("already been chosen"), "{}", again.1);
            visits
        });
        assert_eq!(sign_in.choose_account(&accounts()).await.unwrap(), expected);
        sign_in.visit(&Url::parse(PROVIDER).unwrap()).await.unwrap();
        let mut visits = person.await.unwrap();
        assert!(visits.try_recv().is_err(), "only one window was opened");
        let page = visiting(format!("{}&code=c", sign_in.redirect_uri()));
        assert_eq!(sign_in.answer().await.unwrap().only("code"), Some("c"));
        sign_in.finish(signed_in()).await;
        assert_eq!(page.await.unwrap().0, StatusCode::OK);
    }
}

#[tokio::test]
async fn giving_up_on_the_first_page_is_told_at_once_whenever_it_is_done() {
    let (mut sign_in, mut visits) = open(None).await;
    let person = tokio::spawn(async move {
        let picker = FirstPage::picker(visits.recv().await.unwrap()).await;
        let page = read(picker.choose(&picker.token, "cancel").await).await.1;
        (page, get(picker.url.as_str()).await.1)
    });
    let error = sign_in.choose_account(&accounts()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Cancelled);
    let (page, again) = person.await.unwrap();
    assert!(page.contains("was cancelled") && again.contains("was cancelled"), "{page}{again}");

    // The provider's page is open in another tab.
    let (mut sign_in, mut visits) = open(None).await;
    sign_in.visit(&Url::parse(PROVIDER).unwrap()).await.unwrap();
    let first = FirstPage::at(visits.recv().await.unwrap(), &["Continue"]).await;
    assert_eq!(first.choose(&first.token, "continue").await.status(), StatusCode::SEE_OTHER);
    let (_, waiting) = get(first.url.as_str()).await;
    assert!(waiting.contains("other tab") && waiting.contains("value=\"cancel\""), "{waiting}");
    first.choose("wrong", "cancel").await;
    first.choose(&first.token, "cancel").await;
    assert_eq!(sign_in.answer().await.err().unwrap().kind(), &ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_person_who_closed_the_picker_gets_a_new_window() {
    let (mut sign_in, mut visits) = open(None).await;
    let (chosen, left) = tokio::sync::oneshot::channel::<()>();
    let person = tokio::spawn(async move {
        let picker = FirstPage::picker(visits.recv().await.unwrap()).await;
        let response = picker.choose(&picker.token, "dev.tid");
        tokio::select! {
            _ = response => panic!("there is no answer yet"),
            _ = left => {}
        }
        visits
    });
    sign_in.choose_account(&accounts()).await.unwrap();
    chosen.send(()).unwrap();
    let mut visits = person.await.unwrap();
    // The server notices the closed connection asynchronously; only then does the grace time start.
    let provider = Url::parse(PROVIDER).unwrap();
    let opened = async {
        loop {
            sign_in.visit(&provider).await.unwrap();
            if let Ok(url) = visits.try_recv() {
                return url;
            }
            tokio::task::yield_now().await;
        }
    };
    let opened = tokio::time::timeout(Duration::from_secs(5), opened).await.unwrap();
    let first = FirstPage::at(opened, &["Continue"]).await;
    let response = first.choose(&first.token, "continue").await;
    assert_eq!(response.headers()["location"], PROVIDER);
}

#[tokio::test]
async fn dropping_a_sign_in_closes_the_port_and_tells_the_browser_that_waits() {
    let (mut sign_in, _visits) = open(None).await;
    let place = sign_in.redirect_uri().to_string();
    let page = visiting(format!("{place}?code=c"));
    sign_in.answer().await.unwrap();
    drop(sign_in);
    let (status, text) = page.await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("has ended"), "{text}");
    let closed = async { while browser().get(&place).send().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), closed).await.unwrap();
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_delay_the_end() {
    let (mut sign_in, _visits) = open(None).await;
    let port = sign_in.redirect_uri().port().unwrap();
    let mut silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut slow = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    slow.write_all(b"GET /?code=").await.unwrap();
    let page = visiting(format!("http://127.0.0.1:{port}/?code=c"));
    sign_in.answer().await.unwrap();
    let finished = sign_in.finish(signed_in());
    tokio::time::timeout(Duration::from_secs(5), finished).await.unwrap();
    assert_eq!(page.await.unwrap().0, StatusCode::OK);
    let mut rest = [0; 16];
    let end = tokio::time::timeout(Duration::from_secs(5), silent.read(&mut rest));
    assert!(matches!(end.await.unwrap(), Ok(0) | Err(_)));
}

#[tokio::test]
async fn without_a_working_browser_the_person_is_told_what_to_do() {
    let with = |pairs: &[(&str, &str)]| {
        let environment = Environment::from_pairs(pairs.iter().copied());
        LoopbackUi::new(Arc::new(Browser::new(environment)), Arc::new(SystemRandom))
    };
    let check = |error: Error| {
        assert_eq!(error.kind(), &ErrorKind::Unavailable(Missing::UserInterface), "{error:?}");
        assert!(error.hint().unwrap().contains("BROWSER"), "{error}");
    };
    if cfg!(target_os = "linux") {
        check(with(&[]).open(&prompt(None)).await.err().unwrap());
        // The browser fails at once, which ends the wait before its time limit.
        let mut sign_in = with(&[("BROWSER", "false")]).open(&prompt(None)).await.unwrap();
        sign_in.visit(&Url::parse(PROVIDER).unwrap()).await.unwrap();
        check(sign_in.answer().await.unwrap_err());
    }
    let mut sign_in = with(&[("BROWSER", "/nonexistent/x")]).open(&prompt(None)).await.unwrap();
    check(sign_in.visit(&Url::parse(PROVIDER).unwrap()).await.unwrap_err());
}

/// An app may have only such an address registered. A terminal then lets the person paste instead.
#[tokio::test]
async fn a_port_that_is_taken_is_named_and_leaves_other_ways_open() {
    let holder = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = holder.local_addr().unwrap().port();
    let (opened, _visits) = mpsc::unbounded_channel();
    let sign_in_ui = LoopbackUi::new(Arc::new(Handover(opened)), Arc::new(SystemRandom));
    let prompt = prompt(Some(&format!("http://localhost:{port}")));
    for error in [sign_in_ui.open(&prompt).await, sign_in_ui.listen(&prompt).await] {
        let error = error.err().unwrap();
        assert_eq!(error.kind(), &ErrorKind::Unavailable(Missing::UserInterface), "{error:?}");
        assert!(error.message().contains(&format!("port {port}")), "{error}");
        assert!(error.hint().unwrap().contains("http://localhost"), "{error}");
    }
}

/// The caller that started a sign-in that others have joined: opens a browser, and ends on request.
#[derive(Debug)]
struct Beginner {
    opened: mpsc::UnboundedSender<Url>,
    ends: Notify,
    ended: Notify,
}

#[async_trait]
impl CallerUi for Beginner {
    fn abilities(&self) -> Abilities {
        Abilities { browser: true, ..Abilities::default() }
    }

    async fn open_browser(&self, url: &Url) -> Result<()> {
        self.opened.send(url.clone()).unwrap();
        self.ends.notified().await;
        self.ended.notify_one();
        Err(Error::cancelled("ask the program that signs in"))
    }
}

/// A sign-in whose first page was just opened by a caller.
async fn begun() -> (Box<dyn SignIn>, Arc<Beginner>, Url) {
    let (opened, mut visits) = mpsc::unbounded_channel();
    let beginner = Arc::new(Beginner { opened, ends: Notify::new(), ended: Notify::new() });
    let caller_ui = Arc::clone(&beginner) as Arc<dyn CallerUi>;
    let prompt = SignInPrompt { caller_ui: Some(caller_ui), ..prompt(None) };
    let (unused, _) = mpsc::unbounded_channel();
    let sign_in_ui = LoopbackUi::new(Arc::new(Handover(unused)), Arc::new(SystemRandom));
    let mut sign_in = sign_in_ui.open(&prompt).await.unwrap();
    sign_in.visit(&Url::parse(PROVIDER).unwrap()).await.unwrap();
    let url = visits.recv().await.unwrap();
    (sign_in, beginner, url)
}

#[tokio::test]
async fn a_sign_in_whose_page_is_open_goes_on_without_the_program_that_began_it() {
    let (mut sign_in, beginner, url) = begun().await;
    let place = sign_in.redirect_uri().to_string();
    let first = FirstPage::at(url, &[]).await;
    let mut page = None;
    let finishing = async {
        beginner.ends.notify_one();
        beginner.ended.notified().await;
        let response = first.choose(&first.token, "continue").await;
        assert_eq!(response.headers()["location"], PROVIDER);
        page = Some(visiting(format!("{place}?code=c&state=s1")));
    };
    let (answer, ()) = tokio::join!(sign_in.answer(), finishing);
    assert_eq!(answer.unwrap().only("code"), Some("c"));
    sign_in.finish(signed_in()).await;
    assert_eq!(page.unwrap().await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn a_sign_in_whose_program_ends_before_its_page_is_open_may_be_tried_again() {
    let (mut sign_in, beginner, _url) = begun().await;
    beginner.ends.notify_one();
    let error = sign_in.answer().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Transient { retry_after: None }, "{error}");
}
