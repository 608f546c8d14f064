//! Apps inside other apps.

use serde_json::json;

use crate::support::{ALL, AZURE, Lab, REDIRECT, SAMPLE, VERIFIER};

#[tokio::test]
async fn nested_app_goes_on_by_way_of_the_host_it_began_with() {
    let lab = Lab::start();
    let person = lab.person("dev");
    let native = "https://login.microsoftonline.com/common/oauth2/nativeclient";
    let host = [("brk_client_id", SAMPLE), ("brk_redirect_uri", native)];
    let other = [("brk_client_id", "1950a258-227b-4e31-a9cf-717495945fc2")];
    for (redeemed_by, expected) in [(&host[..], 200), (&other[..], 400), (&[][..], 400)] {
        let landing = person.visit(&lab.authorize_url(&host)).await.unwrap();
        let code = landing.parameters()["code"].clone();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", AZURE),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("scope", ALL),
        ];
        form.extend(redeemed_by);
        let (status, body) = lab.token(lab.tenant(), &form).await;
        assert_eq!(status, expected, "{redeemed_by:?}: {body}");
    }
    let requests: serde_json::Value = lab.get("/emulator/requests").await.json().await.unwrap();
    let nested =
        requests.as_array().unwrap().iter().filter(|entry| entry["brk_client_id"] == SAMPLE);
    assert!(nested.count() > 1);
}

#[tokio::test]
async fn host_that_is_unknown_or_answers_elsewhere_is_refused() {
    let lab = Lab::start();
    for wrong in [
        &[("brk_client_id", "unknown")][..],
        &[("brk_client_id", AZURE)],
        &[("brk_client_id", SAMPLE), ("brk_redirect_uri", "https://evil.example")],
        &[("brk_redirect_uri", "http://localhost")],
    ] {
        let landing = lab.person("dev").visit(&lab.authorize_url(wrong)).await.unwrap();
        assert_eq!(landing.parameters()["error"], json!("invalid_request"), "{wrong:?}");
    }
}
