//! Our first page of a sign-in in the person's browser, in a real Chromium.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use keybearer_core::{Error, ErrorKind};
use keybearer_engine::{AccountPick, SignIn, SignInOutcome};
use serde_json::json;
use support::desktop::{Desktop, accounts, open};
use support::{Person, TlsPage};

/// A sign-in with our page in tab 0 and the provider's in tab 1.
async fn beside_the_provider(
    desktop: &Arc<Desktop>,
    provider: &TlsPage,
) -> (Box<dyn SignIn>, Person) {
    let mut sign_in = open(desktop).await;
    sign_in.visit(&provider.url()).await.unwrap();
    let mut person = desktop.chromium.person().await;
    person.clicks(0, "[value=continue]").await;
    person.reads(1, "Provider").await;
    person.reads(0, "Continue in the other tab").await;
    (sign_in, person)
}

/// Navigates this tab to the redirect URI, as the provider does.
async fn answered(sign_in: &mut dyn SignIn, person: &mut Person, tab: usize) {
    let redirect_uri = sign_in.redirect_uri().clone();
    person.goes(tab, &format!("{redirect_uri}?code=c&state=s")).await;
    let answer = tokio::time::timeout(Duration::from_secs(20), sign_in.answer()).await.unwrap();
    assert_eq!(answer.unwrap().only("code"), Some("c"));
}

fn signed_in() -> SignInOutcome {
    SignInOutcome::SignedIn { username: "dev@contoso.example".into() }
}

async fn assert_cancelled(error: impl Future<Output = Error>) {
    let began = Instant::now();
    let error = tokio::time::timeout(Duration::from_secs(10), error).await.unwrap();
    assert_eq!(error.kind(), &ErrorKind::Cancelled, "{error}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// Checks that the sign-in continues for so long that a closed tab would have been noticed.
async fn assert_quiet(sign_in: &mut dyn SignIn) {
    let answer = tokio::time::timeout(Duration::from_millis(2500), sign_in.answer()).await;
    assert!(answer.is_err(), "{:?}", answer.unwrap());
}

#[tokio::test]
async fn the_provider_is_shown_in_another_tab_and_both_end_with_the_sign_in() {
    let Some(desktop) = Desktop::new() else { return };
    let provider = TlsPage::start("").await;
    let (mut sign_in, mut person) = beside_the_provider(&desktop, &provider).await;
    answered(&mut *sign_in, &mut person, 1).await;
    sign_in.finish(signed_in()).await;
    // Both tabs close themselves.
    person.sees_all_closed().await;
}

#[tokio::test]
async fn a_sign_in_that_fails_says_why_in_both_tabs() {
    let Some(desktop) = Desktop::new() else { return };
    let provider = TlsPage::start("").await;
    let (mut sign_in, mut person) = beside_the_provider(&desktop, &provider).await;
    answered(&mut *sign_in, &mut person, 1).await;
    sign_in.finish(SignInOutcome::Failed { reason: "AADSTS65004 <declined>".into() }).await;
    for tab in [0, 1] {
        person.reads(tab, "AADSTS65004 <declined>").await;
    }
}

#[tokio::test]
async fn closing_either_tab_cancels_within_two_seconds() {
    let Some(desktop) = Desktop::new() else { return };
    let provider = TlsPage::start("").await;
    for tab in [0, 1] {
        let (mut sign_in, mut person) = beside_the_provider(&desktop, &provider).await;
        person.closes(tab).await;
        assert_cancelled(async { sign_in.answer().await.unwrap_err() }).await;
        sign_in.finish(SignInOutcome::Failed { reason: "cancelled".into() }).await;
        if tab == 1 {
            person.reads(0, "cancelled").await;
        }
        desktop.close().await;
    }
}

#[tokio::test]
async fn the_picker_is_used_with_the_keyboard_and_closing_it_cancels() {
    let Some(desktop) = Desktop::new() else { return };
    let provider = TlsPage::start("").await;
    let mut sign_in = open(&desktop).await;
    let keyboard = async {
        let mut person = desktop.chromium.person().await;
        person.reads(0, "Dev Contoso").await;
        for text in ["tool", "/usr/bin/tool (process 42)", "app-1", "organizations", "User.Read"] {
            person.reads(0, text).await;
        }
        // Dev, then Ops.
        for key in ["Tab", "Tab", "Enter"] {
            person.presses(0, key).await;
        }
        person
    };
    let accounts = accounts();
    let (pick, mut person) = tokio::join!(sign_in.choose_account(&accounts), keyboard);
    assert_eq!(pick.unwrap(), AccountPick::Known(accounts[1].home_account_id.clone()));
    sign_in.visit(&provider.url()).await.unwrap();
    person.reads(1, "Provider").await;
    answered(&mut *sign_in, &mut person, 1).await;
    sign_in.finish(signed_in()).await;
    person.sees_all_closed().await;
    desktop.close().await;

    let mut sign_in = open(&desktop).await;
    let choice = sign_in.choose_account(&accounts);
    let closes = async {
        let mut person = desktop.chromium.person().await;
        person.reads(0, "Dev Contoso").await;
        // The server knows that the page is open once the page has connected.
        person.sees(0, "performance.getEntriesByType('navigation')[0].loadEventEnd > 0").await;
        person.closes(0).await;
    };
    let (pick, ()) = tokio::join!(choice, closes);
    assert_eq!(pick.unwrap_err().kind(), &ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_reloaded_page_and_a_provider_that_cuts_the_tie_are_not_taken_for_closed() {
    let Some(desktop) = Desktop::new() else { return };
    let isolated = "Cross-Origin-Opener-Policy: same-origin\r\n";
    let provider = TlsPage::start(isolated).await;
    let (mut sign_in, mut person) = beside_the_provider(&desktop, &provider).await;
    for _ in 0..2 {
        assert_quiet(&mut *sign_in).await;
        person.call(Some(0), "Page.reload", json!({})).await;
        person.reads(0, "Continue in the other tab").await;
    }
    answered(&mut *sign_in, &mut person, 1).await;
    sign_in.finish(signed_in()).await;
}

#[tokio::test]
async fn without_script_or_a_second_tab_the_provider_takes_the_place_of_our_page() {
    let Some(desktop) = Desktop::new() else { return };
    let provider = TlsPage::start("").await;
    for hindrance in ["no script", "no second tab"] {
        let mut sign_in = open(&desktop).await;
        sign_in.visit(&provider.url()).await.unwrap();
        let mut person = desktop.chromium.person().await;
        person.reads(0, "Continue").await;
        if hindrance == "no script" {
            let disabled = json!({ "value": true });
            person.call(Some(0), "Emulation.setScriptExecutionDisabled", disabled).await;
            person.call(Some(0), "Page.reload", json!({})).await;
            person.reads(0, "Continue").await;
        } else {
            person.evaluate(0, "window.open = () => null, 1").await;
        }
        for key in ["Tab", "Enter"] {
            person.presses(0, key).await;
        }
        person.reads(0, "Provider").await;
        assert_quiet(&mut *sign_in).await;
        answered(&mut *sign_in, &mut person, 0).await;
        sign_in.finish(SignInOutcome::Failed { reason: "AADSTS65004".into() }).await;
        person.reads(0, "AADSTS65004").await;
        desktop.close().await;
    }
}
