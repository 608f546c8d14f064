//! Tests of sign-ins that the caller shows: device codes, pasted answers, a forwarded port, and
//! which route is chosen when.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{
    Abilities, AccountChoice, AccountPick, Broker, Caller, CallerId, Denial, ErrorKind,
    InteractiveRequest, Missing, Prompt, Result, SignInMethod, SignInOptions, SshSession, Terminal,
    Token, TokenSource,
};
use keybearer_engine::{Engine, FORWARDED_PORT, SignInOutcome};
use keybearer_testkit::effects::{Action, Conduct, Rule, ScriptedCallerUi};
use keybearer_testkit::engine_harness::{
    EngineHarness, STORAGE, cancel, exactly, interactive, silent, usernames,
};
use keybearer_testkit::provider::{DEV, OPS, Template};
use keybearer_testkit::sample;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const NATIVE_CLIENT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";

fn browser() -> Abilities {
    Abilities { browser: true, terminal: None }
}

fn console() -> Abilities {
    Abilities { browser: false, terminal: Some(Terminal { ssh: None }) }
}

fn ssh() -> Abilities {
    Abilities { browser: false, terminal: Some(Terminal { ssh: Some(SshSession::default()) }) }
}

fn request(method: SignInMethod, caller_ui: &ScriptedCallerUi) -> InteractiveRequest {
    let caller_ui = Some(Arc::new(caller_ui.clone()) as _);
    InteractiveRequest {
        sign_in_options: SignInOptions { method, caller_ui },
        ..interactive(STORAGE, Prompt::IfNeeded)
    }
}

fn spawn(engine: &Engine, request: InteractiveRequest) -> JoinHandle<Result<Token>> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.acquire_interactive(request).await })
}

fn kind<T>(result: &Result<T>) -> &ErrorKind {
    result.as_ref().map(|_| ()).expect_err("an error").kind()
}

#[tokio::test(start_paused = true)]
async fn a_device_code_is_polled_at_its_interval_until_somebody_has_signed_in() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let caller_ui = ScriptedCallerUi::new(console());
    let call = spawn(&engine, request(SignInMethod::DeviceCode, &caller_ui));
    world.clock.advance(Duration::from_secs(14)).await;
    assert_eq!(world.http.token_requests(), 2, "one every five seconds");
    let code = caller_ui.shown().codes.pop().unwrap();
    assert_eq!(code.verification_uri.as_str(), "https://login.microsoft.com/device");
    assert_eq!(code.expires_in, Duration::from_secs(900));
    world.provider.enter_device_codes(DEV);
    let result = call.await.unwrap();
    world.check_result(&result);
    let token = result.unwrap();
    assert_eq!(
        (token.source, token.account.username.as_str()),
        (TokenSource::SignIn, DEV.username)
    );
    assert!(world.secrets.has("device code"));
    let again = engine.acquire_silent(silent(STORAGE)).await.unwrap();
    assert_eq!(again.source, TokenSource::Cache);
    assert_eq!(world.person.seen().opened, 0);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_asks_to_slow_down_or_is_out_of_reach_is_asked_less_often() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let slow_down = Template::new(400, json!({"error": "slow_down", "error_description": "slow"}));
    world.http.rule(Rule::tokens(Action::Answer(slow_down)).times(1));
    let caller_ui = ScriptedCallerUi::new(console());
    let call = spawn(&engine, request(SignInMethod::DeviceCode, &caller_ui));
    // A poll after 5 s, and from then on every 10 s.
    world.clock.advance(Duration::from_secs(26)).await;
    assert_eq!(world.http.token_requests(), 3);
    world.http.rule(Rule::tokens(Action::Unreachable).times(1));
    // The poll at 35 s fails, and then the interval doubles.
    world.clock.advance(Duration::from_secs(28)).await;
    assert_eq!(world.http.token_requests(), 4);
    world.provider.enter_device_codes(DEV);
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_device_code_is_told_with_the_other_ways() {
    let blocked = json!({
        "error": "access_denied",
        "error_description": "AADSTS53003: Access has been blocked by Conditional Access policies.",
        "error_codes": [53003],
    });
    for (action, expected, code, other_ways) in [
        (Some(Action::Answer(Template::new(400, blocked))), None, Some("AADSTS53003"), true),
        (None, Some(ErrorKind::Denied(Denial::Person)), Some("AADSTS70017"), false),
    ] {
        let world = EngineHarness::default();
        let engine = world.engine().await;
        let caller_ui = ScriptedCallerUi::new(console());
        let call = spawn(&engine, request(SignInMethod::DeviceCode, &caller_ui));
        world.clock.advance(Duration::from_secs(1)).await;
        match action {
            Some(action) => world.http.rule(Rule::tokens(action)),
            None => world.provider.decline_device_codes(),
        }
        let result = call.await.unwrap();
        world.check_result(&result);
        if let Some(expected) = expected {
            assert_eq!(kind(&result), &expected);
        }
        let error = result.unwrap_err();
        assert_eq!(error.context().code.as_deref(), code, "{error}");
        let hint = error.hint().unwrap_or_default();
        assert_eq!(hint.contains("--paste") && hint.contains("ssh -L"), other_ways, "{hint}");
        assert!(world.store.records().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_code_that_nobody_enters_ends_with_its_validity_or_the_callers_patience_inv_i7() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let caller_ui = ScriptedCallerUi::new(console());
    for (timeout, ends) in [(30, 30), (3600, 900)] {
        let mut request = request(SignInMethod::DeviceCode, &caller_ui);
        request.parameters.deadline = sample::deadline(Duration::from_secs(timeout));
        let started = Instant::now();
        let result = engine.acquire_interactive(request).await;
        assert_eq!(kind(&result), &ErrorKind::TimedOut);
        assert_eq!(started.elapsed(), Duration::from_secs(ends));
        world.clock.advance(Duration::from_secs(6)).await;
        assert_eq!(engine.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn giving_a_device_code_up_ends_the_polling_at_once() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let caller_ui = ScriptedCallerUi::new(console());
    let mut request = request(SignInMethod::DeviceCode, &caller_ui);
    request.parameters.caller = Caller { id: CallerId::new("x"), process: None };
    let call = spawn(&engine, request);
    world.clock.advance(Duration::from_secs(6)).await;
    engine.cancel(cancel("x")).await.unwrap();
    assert_eq!(kind(&call.await.unwrap()), &ErrorKind::Cancelled);
    world.clock.advance(Duration::from_millis(1)).await;
    let polls = world.http.token_requests();
    world.clock.advance(Duration::from_secs(60)).await;
    assert_eq!((engine.in_flight(), world.http.token_requests()), (0, polls));
}

#[tokio::test(start_paused = true)]
async fn the_wrong_account_is_refused_with_a_device_code_too_inv_i8() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.provider.revoke(DEV);
    let caller_ui = ScriptedCallerUi::new(console());
    let mut request = request(SignInMethod::DeviceCode, &caller_ui);
    request.parameters.account = exactly(DEV);
    let call = spawn(&engine, request);
    world.clock.advance(Duration::from_secs(1)).await;
    world.provider.enter_device_codes(OPS);
    assert!(matches!(kind(&call.await.unwrap()), ErrorKind::InteractionRequired { .. }));
    assert_eq!(usernames(&engine).await, [DEV.username]);
}

/// Signs in at the address that was shown, and returns what the address bar shows then.
async fn signed_in_elsewhere(world: &EngineHarness, caller_ui: &ScriptedCallerUi) -> String {
    world.clock.advance(Duration::from_secs(1)).await;
    let address = caller_ui.shown().addresses.pop().unwrap();
    let query = |name: &str| address.url.query_pairs().find(|(own, _)| own == name).unwrap().1;
    assert_eq!(query("response_mode"), "query", "the address bar must show the answer");
    format!("{}?{}", query("redirect_uri"), world.provider.sign_in(&address.url, DEV))
}

#[tokio::test(start_paused = true)]
async fn a_pasted_answer_is_taken_once_it_is_the_right_one_inv_i9() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let caller_ui = ScriptedCallerUi::new(console());
    let call = spawn(&engine, request(SignInMethod::Paste, &caller_ui));
    let ended_at = signed_in_elsewhere(&world, &caller_ui).await;
    assert!(
        ended_at.starts_with("http://localhost?") || ended_at.starts_with("http://localhost/?")
    );
    for pasted in [
        "where do I paste?",
        "http://localhost/?code=stolen-code&state=not-the-state",
        "http://localhost/?code=stolen-code",
        &ended_at,
    ] {
        caller_ui.will_paste(pasted);
    }
    let result = call.await.unwrap();
    world.check_result(&result);
    assert_eq!(result.unwrap().account.username, DEV.username);
    let shown = caller_ui.shown();
    let complaints: Vec<_> = shown.complaints.iter().map(Option::as_deref).collect();
    let [None, Some(no_answer), Some(another), Some(incomplete)] = complaints[..] else {
        panic!("{complaints:?}")
    };
    assert!(no_answer.contains("no answer"), "{no_answer}");
    assert!(another.contains("another sign-in"), "{another}");
    assert!(incomplete.contains("state="), "{incomplete}");
    assert_eq!(world.http.token_requests(), 1);
    assert_eq!((shown.addresses[0].port, world.person.seen().listened.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn an_app_with_the_native_client_address_is_signed_in_by_pasting() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    let caller_ui = ScriptedCallerUi::new(ssh());
    let mut request = request(SignInMethod::Auto, &caller_ui);
    request.parameters.redirect_uri = Some(NATIVE_CLIENT.parse().unwrap());
    let call = spawn(&engine, request);
    let ended_at = signed_in_elsewhere(&world, &caller_ui).await;
    assert!(ended_at.starts_with(NATIVE_CLIENT), "{ended_at}");
    caller_ui.will_paste(&ended_at);
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn over_ssh_the_same_port_is_used_each_time_unless_it_is_taken() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    for (taken, expected) in [(None, FORWARDED_PORT), (Some(FORWARDED_PORT), 49152)] {
        if let Some(port) = taken {
            world.person.take_port(port);
        }
        let caller_ui = ScriptedCallerUi::new(ssh());
        let mut request = request(SignInMethod::Auto, &caller_ui);
        request.prompt = Prompt::Login;
        request.parameters.account = AccountChoice::LoginHint(DEV.username.into());
        let call = spawn(&engine, request);
        let ended_at = signed_in_elsewhere(&world, &caller_ui).await;
        assert_eq!(caller_ui.shown().addresses[0].port, Some(expected));
        assert!(ended_at.contains(&format!(":{expected}")), "{ended_at}");
        caller_ui.will_paste(&ended_at);
        call.await.unwrap().unwrap();
        let outcome = SignInOutcome::SignedIn { username: DEV.username.into() };
        assert_eq!(world.person.seen().finished.last(), Some(&outcome));
        assert_eq!(world.person.seen().open, 0);
    }
}

/// The port and path come from the app's registration; another redirect URI may not be registered.
#[tokio::test(start_paused = true)]
async fn over_ssh_a_redirect_uri_that_names_a_port_is_used_as_it_is_and_pasted_if_it_is_taken() {
    for (taken, listened) in [(None, Some(8400)), (Some(8400), None)] {
        let world = EngineHarness::default();
        let engine = world.engine().await;
        if let Some(port) = taken {
            world.person.take_port(port);
        }
        let caller_ui = ScriptedCallerUi::new(ssh());
        let mut request = request(SignInMethod::Auto, &caller_ui);
        request.parameters.redirect_uri = Some("http://localhost:8400/answer".parse().unwrap());
        let call = spawn(&engine, request);
        let ended_at = signed_in_elsewhere(&world, &caller_ui).await;
        assert!(ended_at.starts_with("http://localhost:8400/answer?"), "{ended_at}");
        assert_eq!(caller_ui.shown().addresses[0].port, listened);
        caller_ui.will_paste(&ended_at);
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_way_follows_from_where_the_person_is() {
    for (caller, desktop, browsers, terminal) in [
        (browser(), true, true, false),
        (console(), true, true, false),
        (console(), false, false, true),
        (ssh(), true, false, true),
        (ssh(), false, false, true),
    ] {
        let world = EngineHarness::default();
        let engine = world.engine().await;
        world.person.will(if desktop { Conduct::NeverAnswers } else { Conduct::IsAway });
        let caller_ui = ScriptedCallerUi::new(caller.clone());
        let call = spawn(&engine, request(SignInMethod::Auto, &caller_ui));
        world.clock.advance(Duration::from_secs(1)).await;
        let (seen, shown) = (world.person.seen(), caller_ui.shown());
        assert_eq!(seen.opened == 1, browsers, "{caller:?} {desktop}");
        assert_eq!(shown.pointed == 1, browsers, "{caller:?} {desktop}");
        assert_eq!(shown.addresses.len() == 1, terminal, "{caller:?} {desktop}");
        assert!(shown.codes.is_empty(), "a device code is never chosen unasked");
        call.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_be_asked_the_error_says_what_to_do() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let mut request = interactive(STORAGE, Prompt::Login);
    world.person.will(Conduct::IsAway);
    let result = engine.acquire_interactive(request.clone()).await;
    assert_eq!(kind(&result), &ErrorKind::Unavailable(Missing::UserInterface));
    for method in [SignInMethod::DeviceCode, SignInMethod::Paste] {
        request.sign_in_options.method = method;
        let result = engine.acquire_interactive(request.clone()).await;
        assert_eq!(kind(&result), &ErrorKind::Unavailable(Missing::UserInterface));
        assert!(result.unwrap_err().hint().unwrap().contains("`keybearer login`"));
    }
    world.connect(&engine, OPS).await;
    world.person.will(Conduct::IsAway);
    let result = engine.acquire_interactive(interactive(STORAGE, Prompt::IfNeeded)).await;
    assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }));
    let error = result.unwrap_err();
    let message = error.message();
    assert!(message.contains(DEV.username) && message.contains(OPS.username), "{message}");
    assert!(error.hint().unwrap().contains("--account"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn accounts_are_chosen_in_the_terminal_that_shows_the_sign_in() {
    let world = EngineHarness::default();
    let engine = world.engine().await;
    world.connect(&engine, OPS).await;
    world.clock.advance(Duration::from_secs(60)).await;
    world.connect(&engine, DEV).await;
    let engine = world.engine().await;
    for method in [SignInMethod::Auto, SignInMethod::Paste, SignInMethod::DeviceCode] {
        let caller_ui = ScriptedCallerUi::new(ssh());
        let AccountChoice::Exact(id) = exactly(OPS) else { panic!() };
        caller_ui.will_pick(AccountPick::Known(id));
        let token = engine.acquire_interactive(request(method, &caller_ui)).await.unwrap();
        assert_eq!(token.account.username, OPS.username);
        assert_eq!(caller_ui.shown().offered, [[DEV.username, OPS.username]]);
        assert!(caller_ui.shown().addresses.is_empty() && caller_ui.shown().codes.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn each_terminal_has_a_sign_in_of_its_own_and_browsers_share_one() {
    for (caller, opened) in [(ssh(), 0), (browser(), 1)] {
        let world = EngineHarness::default();
        let engine = world.engine().await;
        world.person.will(Conduct::NeverAnswers);
        let caller_uis = [0, 1].map(|_| ScriptedCallerUi::new(caller.clone()));
        let calls: Vec<_> = caller_uis
            .iter()
            .enumerate()
            .map(|(number, caller_ui)| {
                let mut request = request(SignInMethod::Auto, caller_ui);
                let id = CallerId::new(&number.to_string());
                request.parameters.caller = Caller { id, process: None };
                spawn(&engine, request)
            })
            .collect();
        world.clock.advance(Duration::from_secs(1)).await;
        assert_eq!(world.person.seen().opened, opened, "{caller:?}");
        for caller_ui in &caller_uis {
            // Each person is shown where the sign-in is.
            let shown = caller_ui.shown();
            assert_eq!((shown.pointed, shown.addresses.len()), (opened, 1 - opened), "{caller:?}");
        }
        drop(calls);
    }
}
