use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{ALL, AZURE, FABRIKAM, Lab, REDIRECT, SAMPLE, STORAGE, VERIFIER, verified};

#[tokio::test]
async fn tokens_verify_with_the_published_keys_and_say_who_signed_in() {
    let lab = Lab::start();
    let reply = lab.sign_in("dev", &[]).await;
    assert_eq!((&reply["token_type"], &reply["foci"]), (&json!("Bearer"), &json!("1")));
    assert_eq!((&reply["expires_in"], &reply["refresh_in"]), (&json!(3600), &json!(1800)));
    let (tenant, user) = (lab.tenant(), lab.user("dev"));

    let id = verified(&lab, reply["id_token"].as_str().unwrap(), AZURE).await;
    assert_eq!(id["iss"], lab.url(&format!("/{tenant}/v2.0")));
    assert_eq!((&id["nonce"], &id["oid"]), (&json!("the nonce"), &json!(user.oid)));
    let access =
        verified(&lab, reply["access_token"].as_str().unwrap(), "https://storage.azure.com").await;
    assert_eq!(
        (&access["appid"], &access["tid"], &access["scp"]),
        (&json!(AZURE), &json!(tenant), &json!("user_impersonation"))
    );
    let info = URL_SAFE_NO_PAD.decode(reply["client_info"].as_str().unwrap()).unwrap();
    let info: Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(info, json!({"uid": user.oid, "utid": tenant}));
}

#[tokio::test]
async fn code_is_good_once_and_its_replay_revokes_what_came_of_it() {
    let lab = Lab::start();
    let landing = lab.person("dev").visit(&lab.authorize_url(&[])).await.unwrap();
    let code = &landing.parameters()["code"];
    let (_, first) = lab.redeem(code).await;
    let (status, replay) = lab.redeem(code).await;
    assert_eq!(
        (status, &replay["error"], &replay["error_codes"]),
        (400, &json!("invalid_grant"), &json!([54_005]))
    );
    let (_, refused) = lab.refresh(first["refresh_token"].as_str().unwrap()).await;
    assert_eq!(refused["error_codes"], json!([50_173]));
}

#[tokio::test]
async fn code_is_redeemed_only_as_it_was_asked_for() {
    let lab = Lab::start();
    let person = lab.person("dev");
    let wrong_verifier = VERIFIER.replace('d', "e");
    let cases = [
        ("code", "made-up", 9_002_313),
        ("redirect_uri", "http://localhost:7778", 500_112),
        ("code_verifier", &wrong_verifier, 501_481),
        ("code_verifier", "", 900_144),
        ("client_id", SAMPLE, 70_000),
        ("client_secret", "shh", 700_025),
        ("scope", "https://vault.azure.net/.default", 28_002),
        ("grant_type", "password", 70_003),
        ("grant_type", "", 900_144),
    ];
    for (name, value, expected) in cases {
        let landing = person.visit(&lab.authorize_url(&[])).await.unwrap();
        let code = landing.parameters()["code"].clone();
        let good = [
            ("grant_type", "authorization_code"),
            ("client_id", AZURE),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("scope", ALL),
        ];
        let others = good.into_iter().filter(|(present, _)| *present != name);
        let form: Vec<_> = others.chain([(name, value)]).collect();
        let (_, body) = lab.token(lab.tenant(), &form).await;
        assert_eq!(body["error_codes"], json!([expected]), "{name}={value}: {body}");
    }
}

#[tokio::test]
async fn refresh_token_serves_every_resource_and_every_tenant_the_user_is_known_in() {
    let lab = Lab::start();
    let reply = lab.sign_in("guest", &[("tenant", FABRIKAM)]).await;
    let refresh_token = reply["refresh_token"].as_str().unwrap();
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", AZURE),
        ("refresh_token", refresh_token),
        ("scope", "openid https://vault.azure.net/.default"),
        ("client_info", "1"),
    ];
    let (_, body) = lab.token(lab.tenant(), &form).await;
    let access =
        verified(&lab, body["access_token"].as_str().unwrap(), "https://vault.azure.net").await;
    assert_eq!((&access["ver"], &access["tid"]), (&json!("2.0"), &json!(lab.tenant())));
    assert_eq!(access["oid"], lab.user("guest").oid);
    assert_eq!(body["client_info"], reply["client_info"], "the home account stays the same");

    let stranger = lab.sign_in("dev", &[]).await;
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", AZURE),
        ("scope", STORAGE),
        ("refresh_token", stranger["refresh_token"].as_str().unwrap()),
    ];
    let (_, body) = lab.token(FABRIKAM, &form).await;
    assert_eq!(body["error_codes"], json!([50_020]));
}

#[tokio::test]
async fn refresh_token_is_rotated_and_its_late_reuse_ends_the_family() {
    let lab = Lab::start();
    let reply = lab.sign_in("dev", &[]).await;
    let first = reply["refresh_token"].as_str().unwrap();
    let (_, lost) = lab.refresh(first).await;
    let (status, second) = lab.refresh(first).await;
    assert_eq!(status, 200, "the answer to the first use may have been lost");
    assert_ne!(lost["refresh_token"], second["refresh_token"]);
    let second = second["refresh_token"].as_str().unwrap();
    let (_, third) = lab.refresh(second).await;
    let (_, reuse) = lab.refresh(first).await;
    assert_eq!(
        (&reuse["error_codes"], &reuse["suberror"]),
        (&json!([70_000]), &json!("bad_token"))
    );
    let (_, ended) = lab.refresh(third["refresh_token"].as_str().unwrap()).await;
    assert_eq!(ended["error_codes"], json!([50_173]));
}

#[tokio::test]
async fn policy_stops_a_refresh_until_the_person_has_approved() {
    let lab = Lab::start();
    let reply = lab.sign_in("dev", &[]).await;
    lab.control("policies", json!({"resource": "https://storage.azure.com", "require": "mfa"}))
        .await;
    let (status, refused) = lab.refresh(reply["refresh_token"].as_str().unwrap()).await;
    assert_eq!((status, &refused["error"]), (400, &json!("interaction_required")));
    assert_eq!(
        (&refused["suberror"], &refused["error_codes"]),
        (&json!("basic_action"), &json!([50_076]))
    );
    assert!(refused["claims"].as_str().unwrap().contains("capolids"));
    let approved = lab.sign_in("dev", &[]).await;
    let (status, _) = lab.refresh(approved["refresh_token"].as_str().unwrap()).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn error_body_carries_the_callers_correlation_id() {
    let lab = Lab::start();
    let id = "5fd0a3c5-6ec5-4c41-a35d-f5b0a5d5ff4e";
    let request = lab.http().post(lab.url("/nowhere.example/oauth2/v2.0/token"));
    let reply =
        request.header("client-request-id", id).form(&[("grant_type", "x")]).send().await.unwrap();
    assert_eq!(reply.headers()["client-request-id"], id);
    let trace_id = reply.headers()["x-ms-request-id"].clone();
    assert_eq!(reply.status(), 400);
    let body: Value = reply.json().await.unwrap();
    assert_eq!((&body["correlation_id"], &body["error_codes"]), (&json!(id), &json!([90_002])));
    assert_eq!(body["trace_id"], trace_id.to_str().unwrap());
}

#[tokio::test]
async fn request_log_tells_what_was_asked_and_no_secret() {
    let lab = Lab::start();
    let reply = lab.sign_in("dev", &[]).await;
    let refresh_token = reply["refresh_token"].as_str().unwrap();
    lab.refresh(refresh_token).await;
    let log = lab.get("/emulator/requests").await.text().await.unwrap();
    let entries: Vec<Value> = serde_json::from_str(&log).unwrap();
    let last = entries.last().unwrap();
    assert_eq!((&last["grant"], &last["outcome"]), (&json!("refresh_token"), &json!("token")));
    assert_eq!((&last["client_id"], &last["tenant"]), (&json!(AZURE), &json!(lab.tenant())));
    assert_eq!(last["scopes"], json!(ALL.split(' ').collect::<Vec<_>>()));
    let secrets = [
        refresh_token,
        VERIFIER,
        &lab.user("dev").password,
        reply["access_token"].as_str().unwrap(),
    ];
    for secret in secrets {
        assert!(!log.contains(secret));
    }
}
