//! axe-core checks every page of ours in a real Chromium: in light and dark mode, and on a narrow
//! screen. Screenshots are written to the directory in `SCREENSHOTS`, if it is set.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybearer_engine::SignInOutcome;
use serde_json::json;
use support::desktop::{Desktop, accounts, open};
use support::{Person, TlsPage};

const AXE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/accessibility/node_modules/axe-core/axe.min.js");

/// The violations that axe finds, by rule and element; `[]` if there are none.
const JUDGE: &str = "axe.run().then(found => JSON.stringify(found.violations.map(\
    rule => [rule.id, rule.nodes.map(node => node.html)])))";

/// The source of axe-core; `None` if it is not installed, which fails under CI.
fn axe() -> Option<String> {
    let axe = std::fs::read_to_string(AXE).ok();
    if axe.is_none() {
        assert!(std::env::var_os("CI").is_none(), "axe-core is not installed");
        eprintln!(
            "not tested: axe-core is not installed (npm ci in crates/host/tests/accessibility)"
        );
    }
    axe
}

async fn judge(person: &mut Person, tab: usize, name: &str) {
    let axe = axe().unwrap();
    person.evaluate(tab, &format!("{axe};1")).await;
    // Chromium does not lay out a tab in the background.
    person.call(Some(tab), "Page.bringToFront", json!({})).await;
    for (colours, width) in [("light", 800), ("dark", 800), ("light", 360), ("dark", 360)] {
        let scheme = json!({ "name": "prefers-color-scheme", "value": colours });
        let media = json!({ "features": [scheme] });
        person.call(Some(tab), "Emulation.setEmulatedMedia", media).await;
        let size = json!({ "width": width, "height": 740, "deviceScaleFactor": 1,
            "mobile": false });
        person.call(Some(tab), "Emulation.setDeviceMetricsOverride", size).await;
        let shown = format!("matchMedia('(prefers-color-scheme: {colours})').matches");
        person.sees(tab, &shown).await;
        person.sees(tab, &format!("innerWidth === {width}")).await;
        let violations = person.evaluate(tab, JUDGE).await;
        assert_eq!(violations, "[]", "{name}, {colours}, {width} pixels wide");
        let wide = person.evaluate(tab, "document.documentElement.scrollWidth").await;
        assert!(wide.as_u64().unwrap() <= width, "{name} is {wide} pixels wide");
        picture(person, tab, &format!("{name}-{colours}-{width}")).await;
    }
}

async fn picture(person: &mut Person, tab: usize, name: &str) {
    let Some(directory) = std::env::var_os("SCREENSHOTS") else { return };
    let shot = person.call(Some(tab), "Page.captureScreenshot", json!({})).await;
    let png = STANDARD.decode(shot["result"]["data"].as_str().unwrap_or_default()).unwrap();
    std::fs::write(std::path::Path::new(&directory).join(format!("{name}.png")), png).unwrap();
}

#[tokio::test]
async fn every_page_is_accessible_in_light_and_dark_and_on_a_narrow_screen() {
    let (Some(desktop), Some(_)) = (Desktop::new(), axe()) else { return };
    let provider = TlsPage::start("").await;
    let mut sign_in = open(&desktop).await;
    let accounts = accounts();
    let chooses = async {
        let mut person = desktop.chromium.person().await;
        person.reads(0, "Dev Contoso").await;
        judge(&mut person, 0, "picker").await;
        person.presses(0, "Tab").await;
        picture(&mut person, 0, "picker-focus").await;
        person.clicks(0, "[value=another]").await;
        person
    };
    let (pick, mut person) = tokio::join!(sign_in.choose_account(&accounts), chooses);
    pick.unwrap();
    sign_in.visit(&provider.url()).await.unwrap();
    person.reads(1, "Provider").await;
    judge(&mut person, 0, "waiting").await;
    // Otherwise the page closes itself.
    person.evaluate(0, "window.close = () => {}, 1").await;
    let username = "dev@contoso.example".to_owned();
    sign_in.finish(SignInOutcome::SignedIn { username }).await;
    person.reads(0, "signed in as").await;
    judge(&mut person, 0, "signed-in").await;
    desktop.close().await;

    let mut sign_in = open(&desktop).await;
    sign_in.visit(&provider.url()).await.unwrap();
    let mut person = desktop.chromium.person().await;
    person.reads(0, "Continue").await;
    judge(&mut person, 0, "start").await;
    person.clicks(0, "[value=continue]").await;
    person.reads(1, "Provider").await;
    let redirect_uri = sign_in.redirect_uri().clone();
    person.goes(1, &format!("{redirect_uri}nothing")).await;
    person.reads(1, "Nothing here").await;
    judge(&mut person, 1, "nothing-here").await;
    for (code, title) in [("bad", "Not accepted"), ("good", "The sign-in failed")] {
        person.goes(1, &format!("{redirect_uri}?code={code}")).await;
        sign_in.answer().await.unwrap();
        if code == "bad" {
            sign_in.reject().await;
        } else {
            let reason = "the provider refused: AADSTS65004: User declined to consent to access \
                the app. (hint: sign in again and accept)";
            sign_in.finish(SignInOutcome::Failed { reason: reason.into() }).await;
            break;
        }
        person.reads(1, title).await;
        judge(&mut person, 1, "not-accepted").await;
    }
    person.reads(1, "The sign-in failed").await;
    judge(&mut person, 1, "failed").await;
    desktop.close().await;

    let mut sign_in = open(&desktop).await;
    sign_in.visit(&provider.url()).await.unwrap();
    let mut person = desktop.chromium.person().await;
    person.clicks(0, "[value=cancel]").await;
    person.reads(0, "was cancelled").await;
    judge(&mut person, 0, "cancelled").await;
}

/// axe-core finds a violation on a page that has one.
#[tokio::test]
async fn a_page_that_is_not_accessible_is_found_out() {
    let (Some(desktop), Some(axe)) = (Desktop::new(), axe()) else { return };
    let mut sign_in = open(&desktop).await;
    sign_in.visit(&TlsPage::start("").await.url()).await.unwrap();
    let mut person = desktop.chromium.person().await;
    person.reads(0, "Continue").await;
    person.evaluate(0, &format!("{axe};document.body.append(new Image()), 1")).await;
    let violations = person.evaluate(0, JUDGE).await;
    assert!(violations.as_str().unwrap().contains("image-alt"), "{violations}");
}
