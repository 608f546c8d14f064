use keybearer_emulator::EmulatorOptions;
use serde_json::{Value, json};

use crate::support::{ALL, AZURE, Lab};

async fn begin(lab: &Lab) -> Value {
    let url = lab.url("/organizations/oauth2/v2.0/devicecode");
    let request = lab.http().post(url).form(&[("client_id", AZURE), ("scope", ALL)]);
    request.send().await.unwrap().json().await.unwrap()
}

/// One poll; returns the OAuth error, or nothing if there are tokens.
async fn poll(lab: &Lab, flow: &Value, [grant_type, field]: [&str; 2]) -> Option<String> {
    let code = flow["device_code"].as_str().unwrap();
    let form = [("grant_type", grant_type), ("client_id", AZURE), (field, code)];
    let (_, body) = lab.token("organizations", &form).await;
    if body.get("access_token").is_some() {
        return None;
    }
    Some(body["error"].as_str().unwrap().to_owned())
}

const URN: [&str; 2] = ["urn:ietf:params:oauth:grant-type:device_code", "device_code"];
const MSAL_NODE: [&str; 2] = ["device_code", "device_code"];
const BY_CODE: [&str; 2] = ["device_code", "code"];

async fn enter(lab: &Lab, flow: &Value, presses: &[&str]) -> String {
    let url = format!(
        "{}?user_code={}",
        flow["verification_uri"].as_str().unwrap(),
        flow["user_code"].as_str().unwrap()
    );
    lab.person("dev").pressing(presses).visit(&url).await.unwrap().title()
}

#[tokio::test]
async fn device_waits_until_the_person_approves_in_either_spelling() {
    let lab = Lab::start();
    for spelling in [URN, MSAL_NODE, BY_CODE] {
        let flow = begin(&lab).await;
        assert_eq!(poll(&lab, &flow, spelling).await.as_deref(), Some("authorization_pending"));
        assert_eq!(enter(&lab, &flow, &[]).await, "You have signed in");
        assert_eq!(poll(&lab, &flow, spelling).await, None);
        assert_eq!(poll(&lab, &flow, spelling).await.as_deref(), Some("invalid_grant"));
    }
}

#[tokio::test]
async fn device_hears_of_a_refusal_an_expiry_and_a_wrong_code() {
    let lab = Lab::start();
    let flow = begin(&lab).await;
    assert_eq!(enter(&lab, &flow, &["deny"]).await, "You declined the sign-in");
    assert_eq!(poll(&lab, &flow, URN).await.as_deref(), Some("authorization_declined"));
    let made_up = json!({"device_code": "made up"});
    assert_eq!(poll(&lab, &made_up, URN).await.as_deref(), Some("bad_verification_code"));
    let flow = begin(&lab).await;
    lab.control("clock", json!({"offset_seconds": 901})).await;
    assert_eq!(poll(&lab, &flow, URN).await.as_deref(), Some("expired_token"));
    assert_eq!(enter(&lab, &flow, &["cancel"]).await, "You cancelled the sign-in");
}

#[tokio::test]
async fn auto_sign_in_needs_no_page() {
    let options = EmulatorOptions {
        auto_sign_in: Some("DEV@contoso.example".into()),
        ..EmulatorOptions::default()
    };
    let lab = Lab::with(options);
    let flow = begin(&lab).await;
    let url = format!(
        "{}?user_code={}",
        flow["verification_uri"].as_str().unwrap(),
        flow["user_code"].as_str().unwrap()
    );
    let person = lab.person("ops");
    assert_eq!(person.open(&url).await.unwrap().title(), "You have signed in");
    assert_eq!(poll(&lab, &flow, URN).await, None);
    assert!(person.open(&lab.authorize_url(&[])).await.unwrap().parameters().contains_key("code"));
}
