use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{AZURE, Lab, always, verified};

const METADATA: &str = "/common/v2.0/.well-known/openid-configuration";

#[tokio::test]
async fn status_comes_with_its_retry_after_and_only_as_often_as_told() {
    let lab = Lab::start();
    let fault = json!({"endpoint": "metadata", "times": 1, "action": {"status": {"code": 429, "retry_after": 7}}});
    lab.control("faults", fault).await;
    let date = json!({"endpoint": "metadata", "times": 1, "action": {"status": {"code": 503, "retry_after_date": 60}}});
    lab.control("faults", date).await;
    let reply = lab.get(METADATA).await;
    assert_eq!(
        (reply.status().as_u16(), reply.headers()["retry-after"].to_str().unwrap()),
        (429, "7")
    );
    let reply = lab.get(METADATA).await;
    assert_eq!(reply.status(), 503);
    assert!(reply.headers()["retry-after"].to_str().unwrap().ends_with(" GMT"));
    assert_eq!(lab.get(METADATA).await.status(), 200);
    assert_eq!(lab.outcomes().await, ["429", "503", "metadata"]);
}

#[tokio::test]
async fn connection_is_cut_before_or_in_the_middle_of_the_reply() {
    let lab = Lab::start();
    lab.control(
        "faults",
        json!({"endpoint": "metadata", "times": 1, "action": {"cut": "mid_response"}}),
    )
    .await;
    let reply = lab.get(METADATA).await;
    assert_eq!(reply.status(), 200);
    assert!(reply.bytes().await.is_err(), "the body must not arrive");
    lab.control("faults", always("metadata", json!({"cut": "before_response"}))).await;
    assert!(lab.http().get(lab.url(METADATA)).send().await.is_err());
    lab.http().delete(lab.url("/emulator/faults")).send().await.unwrap();
    assert_eq!(lab.get(METADATA).await.status(), 200);
}

#[tokio::test]
async fn stalled_request_is_answered_late_or_never() {
    let lab = Lab::start();
    lab.control(
        "faults",
        json!({"endpoint": "metadata", "times": 1, "action": {"stall": {"milliseconds": 150}}}),
    )
    .await;
    let before = Instant::now();
    assert_eq!(lab.get(METADATA).await.status(), 200);
    assert!(before.elapsed() >= Duration::from_millis(150));
    lab.control("faults", always("metadata", json!({"stall": {}}))).await;
    let request = lab.http().get(lab.url(METADATA)).timeout(Duration::from_millis(200));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(lab.outcomes().await, ["metadata", "stall"]);
}

#[tokio::test]
async fn reply_lacks_a_field_or_is_not_json() {
    let lab = Lab::start();
    lab.control(
        "faults",
        json!([
            {"endpoint": "metadata", "times": 1, "action": {"missing_field": "issuer"}},
            {"endpoint": "metadata", "times": 1, "action": "malformed_json"},
        ]),
    )
    .await;
    let document: Value = lab.get(METADATA).await.json().await.unwrap();
    assert!(document.get("issuer").is_none() && document.get("jwks_uri").is_some());
    let text = lab.get(METADATA).await.text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_err());
}

#[tokio::test]
async fn id_token_is_wrong_in_the_part_that_was_asked_for() {
    let lab = Lab::start();
    let cases = [("nonce", "nonce"), ("issuer", "iss"), ("audience", "aud"), ("tenant", "tid")];
    let good = lab.sign_in("dev", &[]).await;
    let good = verified(&lab, good["id_token"].as_str().unwrap(), AZURE).await;
    for (part, claim) in cases {
        lab.control(
            "faults",
            json!({"endpoint": "token", "times": 1, "action": {"wrong_id_token": part}}),
        )
        .await;
        let bad = lab.sign_in("dev", &[]).await;
        let jwt = bad["id_token"].as_str().unwrap();
        let bad: Value = jsonwebtoken::dangerous::insecure_decode::<Value>(jwt).unwrap().claims;
        assert_ne!(bad[claim], good[claim], "{part}");
    }
    lab.control(
        "faults",
        json!({"endpoint": "token", "times": 1, "action": {"wrong_id_token": "signature"}}),
    )
    .await;
    let bad = lab.sign_in("dev", &[]).await;
    let task = verified(&lab, bad["id_token"].as_str().unwrap(), AZURE);
    let outcome = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(task)).await;
    assert!(outcome.is_err(), "the signature must not verify");
}

#[tokio::test]
async fn clock_is_wrong_in_the_date_header_and_in_tokens() {
    let lab = Lab::start();
    let good = lab.sign_in("dev", &[]).await;
    lab.control("faults", always("token", json!({"clock_offset_seconds": -7200}))).await;
    let (_, late) = lab.refresh(good["refresh_token"].as_str().unwrap()).await;
    let claims = |reply: &Value| {
        let jwt = reply["access_token"].as_str().unwrap().to_owned();
        jsonwebtoken::dangerous::insecure_decode::<Value>(jwt).unwrap().claims
    };
    let difference =
        claims(&good)["iat"].as_i64().unwrap() - claims(&late)["iat"].as_i64().unwrap();
    assert!((7190..=7200).contains(&difference), "{difference}");
    let reply = lab.token_response("common", &[("grant_type", "x")]).await.unwrap();
    assert!(reply.headers().contains_key("date"));
}

#[tokio::test]
async fn scripted_error_reads_as_entras() {
    let lab = Lab::start();
    let error = json!({"error": "invalid_grant", "code": 50_173, "message": "Scripted.", "suberror": "bad_token"});
    lab.control("faults", always("token", json!({"error": error}))).await;
    let (status, body) = lab.token("common", &[("grant_type", "refresh_token")]).await;
    assert_eq!((status, &body["suberror"]), (400, &json!("bad_token")));
    assert!(
        body["error_description"]
            .as_str()
            .unwrap()
            .starts_with("AADSTS50173: Scripted. Trace ID: ")
    );
    assert_eq!(lab.outcomes().await, ["AADSTS50173"]);
}
