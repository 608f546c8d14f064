//! The sign-in window: a real Chromium, watched over its DevTools pipe.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keybearer_core::{
    Account, AccountChoice, Authority, AuthorityHost, Broker, Caller, CallerId, ClientId,
    CorrelationId, Deadline, ErrorKind, HomeAccountId, InteractiveRequest, Process, Prompt, Result,
    ScopeSet, Tenant, TenantId, Token, TokenParameters,
};
use keybearer_emulator::{Home, Laboratory};
use keybearer_engine::{AccountPick, Effects, SignIn, SignInOutcome, SignInPrompt};
use keybearer_host::{Environment, Host, Paths};
use keybearer_testkit::emulated;
use serde_json::json;
use support::{Chromium, Person, TlsPage};
use url::Url;

const NATIVE_CLIENT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";
const WITHOUT_LOOPBACK: &str = "c0ffee00-1111-4222-8333-777788889999";
const WITH_EVERYTHING: &str = "c0ffee00-1111-4222-8333-444455556666";

/// A home with a browser for sign-in windows, and nothing else.
struct WindowHome {
    home: Home,
    chromium: Chromium,
    effects: Effects,
}

impl WindowHome {
    /// `None` if Chromium is not installed.
    fn new() -> Option<Self> {
        let home = Home::new().unwrap();
        let chromium = Chromium::find(&home.at(""))?;
        let display = std::env::var_os("DISPLAY").unwrap_or_else(|| ":none".into());
        let home = home
            .with("KEYBEARER_WINDOW_BROWSER", &chromium.program)
            .with("DISPLAY", display)
            .with("XAUTHORITY", std::env::var_os("XAUTHORITY").unwrap_or_default());
        let environment = Environment::from_pairs(home.variables());
        let host = Host::durable(&Paths::current(&environment).unwrap(), &environment);
        Some(Self { home, chromium, effects: host.effects() })
    }
}

fn prompt(redirect_uri: &str) -> SignInPrompt {
    let executable = Some("/usr/bin/tool".into());
    let process = Some(Process { pid: 42, uid: 7, executable });
    SignInPrompt {
        caller: Caller { id: CallerId::new("c"), process },
        client_id: ClientId::parse("app-1").unwrap(),
        authority_host: AuthorityHost::parse("login.example").unwrap(),
        tenant: Tenant::Organizations,
        scopes: ScopeSet::parse(&["User.Read"]).unwrap(),
        redirect_uri: Some(Url::parse(redirect_uri).unwrap()),
        correlation_id: CorrelationId::new("c-1"),
        caller_ui: None,
    }
}

async fn open(home: &WindowHome) -> (Box<dyn SignIn>, Person) {
    let sign_in_ui = Arc::clone(&home.effects.sign_in_ui);
    let prompt = prompt(NATIVE_CLIENT);
    let (sign_in, person) = tokio::join!(sign_in_ui.open(&prompt), home.chromium.person());
    (sign_in.unwrap(), person)
}

/// Visits the provider's page, through our first page if it was not shown yet.
async fn visit(sign_in: &mut dyn SignIn, person: &mut Person, provider: &TlsPage) {
    sign_in.visit(&provider.url()).await.unwrap();
    person
        .sees(0, "!!document.querySelector('[value=continue]') || document.title === 'Provider'")
        .await;
    person.evaluate(0, "document.querySelector('[value=continue]')?.click(), 1").await;
    person.reads(0, "Provider").await;
}

fn request(laboratory: &Laboratory, client_id: &str, account: AccountChoice) -> InteractiveRequest {
    let ready = laboratory.ready();
    let authority = format!("{}/{}", ready.authority_host, ready.tenant);
    let parameters = TokenParameters {
        authority: Authority::parse(&authority).unwrap(),
        client_id: ClientId::parse(client_id).unwrap(),
        redirect_uri: Some(Url::parse(NATIVE_CLIENT).unwrap()),
        scopes: ScopeSet::parse(&["https://storage.azure.com/.default"]).unwrap(),
        account,
        claims: None,
        capabilities: Default::default(),
        access_token_to_renew: None,
        proof_of_possession: None,
        extra_query: Default::default(),
        correlation_id: CorrelationId::new("c-1"),
        deadline: Deadline::after(Duration::from_secs(60), Instant::now()),
        caller: Caller::in_process(),
    };
    InteractiveRequest::new(parameters, Prompt::IfNeeded)
}

/// Waits for the request and the person, and fails as soon as the request fails.
async fn signed_in(
    call: impl Future<Output = Result<Token>>,
    person: impl Future<Output = ()>,
) -> Token {
    let call = async { call.await.unwrap() };
    let (token, ()) = tokio::join!(call, person);
    token
}

#[tokio::test]
async fn an_app_without_a_loopback_address_signs_in_and_the_next_app_needs_no_password() {
    let Some(home) = WindowHome::new() else { return };
    let laboratory = Laboratory::start().unwrap();
    let user = &laboratory.ready().users[0];
    let engine = emulated::engine_with(&laboratory, home.effects.clone()).await.unwrap();

    let sign_in = request(&laboratory, WITHOUT_LOOPBACK, AccountChoice::Default);
    let person = async {
        let mut person = home.chromium.person().await;
        person.reads(0, WITHOUT_LOOPBACK).await;
        person.clicks(0, "[value=continue]").await;
        person.signs_in(0, &user.upn, &user.password).await;
        person.clicks(0, "[value=accept]").await;
    };
    let token = signed_in(engine.acquire_interactive(sign_in), person).await;
    assert_eq!(token.account.username, user.upn);

    // The provider's own session, in a profile that is private and not the person's.
    let profile = home.home.at(".local/state/keybearer/window/profile-1");
    assert_eq!(profile.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    home.chromium.ended().await;
    let hint = AccountChoice::LoginHint(user.upn.clone());
    let sign_in = request(&laboratory, WITH_EVERYTHING, hint);
    let person = async {
        let mut person = home.chromium.person().await;
        person.clicks(0, "[value=continue]").await;
        person.clicks(0, "[value=accept]").await;
    };
    let token = signed_in(engine.acquire_interactive(sign_in), person).await;
    assert_eq!(token.account.username, user.upn);
    drop(engine);
    home.chromium.ended().await;
    assert!(!profile.with_file_name("profile-2").exists());
    let history = std::fs::read(profile.join("Default/History")).unwrap();
    let visited = |text: &[u8]| history.windows(text.len()).any(|part| part == text);
    assert!(visited(b"/oauth2/v2.0/authorize?"));
    assert!(!visited(b"nativeclient?code"), "no code in the history");
}

#[tokio::test]
async fn closing_the_window_cancels_at_once() {
    let Some(home) = WindowHome::new() else { return };
    let provider = TlsPage::start("").await;
    let (mut sign_in, mut person) = open(&home).await;
    visit(&mut *sign_in, &mut person, &provider).await;
    let closed = Instant::now();
    person.closes(0).await;
    assert_eq!(sign_in.answer().await.unwrap_err().kind(), &ErrorKind::Cancelled);
    assert!(closed.elapsed() < Duration::from_secs(2), "{:?}", closed.elapsed());
    sign_in.finish(SignInOutcome::Failed { reason: "cancelled".into() }).await;
    home.chromium.ended().await;
}

#[tokio::test]
async fn two_sign_ins_at_a_time_have_a_window_each() {
    let Some(home) = WindowHome::new() else { return };
    let provider = TlsPage::start("").await;
    let (mut first, mut one) = open(&home).await;
    home.chromium.forget();
    let (mut second, mut other) = open(&home).await;
    for (sign_in, person) in [(&mut second, &mut other), (&mut first, &mut one)] {
        visit(&mut **sign_in, person, &provider).await;
        person.closes(0).await;
        assert_eq!(sign_in.answer().await.unwrap_err().kind(), &ErrorKind::Cancelled);
    }
}

#[tokio::test]
async fn a_browser_that_crashes_ends_the_sign_in_and_does_not_spoil_the_next() {
    let Some(home) = WindowHome::new() else { return };
    let provider = TlsPage::start("").await;
    let (mut sign_in, mut person) = open(&home).await;
    visit(&mut *sign_in, &mut person, &provider).await;
    person.call(None, "Browser.crash", json!({})).await;
    assert_eq!(sign_in.answer().await.unwrap_err().kind(), &ErrorKind::Cancelled);
    sign_in.finish(SignInOutcome::Failed { reason: "cancelled".into() }).await;
    home.chromium.ended().await;
    let profile = home.home.at(".local/state/keybearer/window/profile-1");
    assert!(profile.join("SingletonLock").symlink_metadata().is_ok(), "it is left locked");
    let (mut sign_in, mut person) = open(&home).await;
    visit(&mut *sign_in, &mut person, &provider).await;
    assert!(!profile.with_file_name("profile-2").exists());
}

#[tokio::test]
async fn only_a_navigation_to_exactly_the_redirect_uri_is_an_answer() {
    let Some(home) = WindowHome::new() else { return };
    let provider = TlsPage::start("").await;
    let (mut sign_in, mut person) = open(&home).await;
    visit(&mut *sign_in, &mut person, &provider).await;
    for near_miss in [
        "location.href = '/common/oauth2/nativeclient2?code=miss'",
        "location.href = 'https://login.microsoftonline.com:444/common/oauth2/nativeclient?code=miss'",
        "location.href = 'https://login.microsoftonline.com.example/common/oauth2/nativeclient?code=miss'",
        "location.href = 'https://login.microsoftonline.com/common/oauth2/nativeclient/?code=miss'",
        "location.href = 'https://login.microsoftonline.com/common/oauth2/nativeclient'",
        "fetch('https://login.microsoftonline.com/common/oauth2/nativeclient?code=miss').catch(String)",
        "document.body.append(Object.assign(document.createElement('iframe'), \
         { src: 'https://login.microsoftonline.com/common/oauth2/nativeclient?code=miss' }))",
        "document.body.insertAdjacentHTML('beforeend', '<form method=post action=\"https://login.\
         microsoftonline.com/common/oauth2/nativeclient?code=miss\">'), document.forms[0].submit()",
    ] {
        person.evaluate(0, near_miss).await;
        let quiet = tokio::time::timeout(Duration::from_millis(200), sign_in.answer()).await;
        assert!(quiet.is_err(), "{near_miss}");
        visit(&mut *sign_in, &mut person, &provider).await;
    }
    let answer = format!("location.href = '{NATIVE_CLIENT}?code=evil&state=guessed'");
    person.evaluate(0, &answer).await;
    assert_eq!(sign_in.answer().await.unwrap().only("state"), Some("guessed"));
    sign_in.reject().await;
    // Other navigations are ignored, and a pop-up of the provider is watched as well.
    person.evaluate(0, &format!("open('{NATIVE_CLIENT}?code=good&state=s1'), 1")).await;
    assert_eq!(sign_in.answer().await.unwrap().only("code"), Some("good"));
    let reason = "AADSTS65004 <declined>".to_owned();
    sign_in.finish(SignInOutcome::Failed { reason }).await;
    person.reads(0, "AADSTS65004 <declined>").await;
    person.closes(1).await;
    person.closes(0).await;
    home.chromium.ended().await;
}

fn account(name: &str) -> Account {
    Account {
        home_account_id: HomeAccountId::parse(&format!("{name}.tid")).unwrap(),
        environment: "login.windows.net".into(),
        realm: TenantId::parse("tid").unwrap(),
        local_account_id: name.into(),
        username: format!("{name}@contoso.example"),
        name: None,
    }
}

#[tokio::test]
async fn the_person_chooses_an_account_in_the_same_window_and_may_give_up() {
    let Some(home) = WindowHome::new() else { return };
    let provider = TlsPage::start("").await;
    let accounts = [account("dev"), account("ops")];
    let (mut sign_in, mut person) = open(&home).await;
    let choice = async {
        person.reads(0, "/usr/bin/tool").await;
        person.clicks(0, "[value='ops.tid']").await;
    };
    let (pick, ()) = tokio::join!(sign_in.choose_account(&accounts), choice);
    assert_eq!(pick.unwrap(), AccountPick::Known(accounts[1].home_account_id.clone()));
    visit(&mut *sign_in, &mut person, &provider).await;
    let username = "ops@contoso.example".to_owned();
    sign_in.finish(SignInOutcome::SignedIn { username }).await;
    // The window closes itself.
    home.chromium.ended().await;

    for gives_up in ["[value=cancel]", "close"] {
        let (mut sign_in, mut person) = open(&home).await;
        let choice = async {
            person.reads(0, "ops@contoso.example").await;
            match gives_up {
                "close" => person.closes(0).await,
                button => person.clicks(0, button).await,
            }
        };
        let (pick, ()) = tokio::join!(sign_in.choose_account(&accounts), choice);
        assert_eq!(pick.unwrap_err().kind(), &ErrorKind::Cancelled, "{gives_up}");
        drop(sign_in);
        home.chromium.ended().await;
    }
}

#[tokio::test]
async fn the_person_may_give_up_on_the_page_that_says_who_asks() {
    let Some(home) = WindowHome::new() else { return };
    let provider = TlsPage::start("").await;
    let (mut sign_in, mut person) = open(&home).await;
    sign_in.visit(&provider.url()).await.unwrap();
    person.reads(0, "/usr/bin/tool (process 42)").await;
    person.clicks(0, "[value=cancel]").await;
    assert_eq!(sign_in.answer().await.unwrap_err().kind(), &ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_browser_that_cannot_serve_as_a_window_gives_way_to_the_persons_browser() {
    let Some(home) = WindowHome::new() else { return };
    for program in ["/bin/false", "/bin/true"] {
        let pairs = [
            ("HOME", home.home.at("").into_os_string()),
            ("DISPLAY", ":none".into()),
            ("KEYBEARER_WINDOW_BROWSER", program.into()),
        ];
        let environment = Environment::from_pairs(pairs);
        let sign_in_ui = Host::in_process(&environment).effects().sign_in_ui;
        let sign_in = sign_in_ui.open(&prompt(NATIVE_CLIENT)).await.unwrap();
        assert_eq!(sign_in.redirect_uri().scheme(), "http", "{program}");
    }
}
