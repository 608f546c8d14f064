use std::sync::Arc;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::{ClientOptions, Transport, Url};
use azure_storage_blob::clients::{BlobServiceClient, BlobServiceClientOptions};
use futures_util::TryStreamExt as _;
use keybearer_emulator::{EmulatorOptions, HostNames};
use reqwest::{Method, Response};
use serde_json::json;

use crate::support::{Lab, STORAGE};

async fn token(lab: &Lab, user: &str, changes: &[(&str, &str)]) -> String {
    lab.sign_in(user, changes).await["access_token"].as_str().unwrap().to_owned()
}

async fn ask(lab: &Lab, method: Method, rest: &str, token: Option<&str>) -> Response {
    let url = format!("{}{rest}", lab.ready().blob_endpoint);
    let request = lab.http().request(method, url).header("x-ms-version", "2025-11-05");
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.unwrap()
}

fn code(reply: &Response) -> (u16, &str) {
    let code = reply.headers().get("x-ms-error-code").map_or("", |code| code.to_str().unwrap());
    (reply.status().as_u16(), code)
}

#[tokio::test]
async fn token_opens_the_account_only_if_every_part_of_it_is_right() {
    let lab = Lab::start();
    let good = token(&lab, "dev", &[]).await;
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    let arm = token(&lab, "dev", &[("scope", "https://management.azure.com/.default")]).await;
    let no_role = token(&lab, "ops", &[]).await;
    let elsewhere = token(&lab, "guest", &[("tenant", "fabrikam.example")]).await;
    let cases = [
        (Some(&good), (200, "")),
        (None, (401, "NoAuthenticationInformation")),
        (Some(&forged), (401, "InvalidAuthenticationInfo")),
        (Some(&arm), (401, "InvalidAuthenticationInfo")),
        (Some(&elsewhere), (401, "InvalidAuthenticationInfo")),
        (Some(&no_role), (403, "AuthorizationPermissionMismatch")),
    ];
    for (token, expected) in cases {
        let reply = ask(&lab, Method::GET, "?comp=list", token.map(String::as_str)).await;
        assert_eq!(code(&reply), expected);
        if expected.0 == 401 {
            let challenge = reply.headers()["www-authenticate"].to_str().unwrap();
            let uri = lab.url(&format!("/{}/oauth2/authorize", lab.tenant()));
            assert_eq!(
                challenge,
                format!("Bearer authorization_uri={uri} resource_id=https://storage.azure.com")
            );
        }
    }
    lab.control("clock", json!({"offset_seconds": 3601})).await;
    let reply = ask(&lab, Method::GET, "?comp=list", Some(&good)).await;
    assert_eq!(code(&reply), (401, "InvalidAuthenticationInfo"), "expired");
}

#[tokio::test]
async fn emulator_that_is_called_as_azure_is_issues_and_accepts_tokens_under_those_names() {
    let lab =
        Lab::with(EmulatorOptions { host_names: HostNames::Azure, ..EmulatorOptions::default() });
    assert_eq!(lab.url(""), "https://login.microsoftonline.com");
    let reply = lab.get(&format!("/{}/v2.0/.well-known/openid-configuration", lab.tenant())).await;
    let metadata: serde_json::Value = reply.json().await.unwrap();
    let issuer = format!("https://login.microsoftonline.com/{}/v2.0", lab.tenant());
    assert_eq!(metadata["issuer"], issuer);
    let good = token(&lab, "dev", &[]).await;
    for (rest, expected) in [
        ("/?comp=list", (200, "")),
        ("/alpha?restype=container", (200, "")),
        ("/gamma?restype=container", (404, "ContainerNotFound")),
    ] {
        let reply = ask(&lab, Method::GET, rest, Some(&good)).await;
        assert_eq!(code(&reply), expected, "{rest}");
    }
}

#[tokio::test]
async fn containers_are_created_by_contributors_and_seen_by_readers() {
    let options = EmulatorOptions {
        fixture: Some(
            r#"
        [[users]]
        upn = "ops@contoso.example"
        name = "Ops"
        password = "Ops-Passw0rd!"
        tenant = "6d8f2c1e-3b64-4f0a-9c57-1f2e8a7b9d01"
        oid = "11111111-aaaa-4bbb-8ccc-000000000002"
        blob_role = "contributor"
        "#
            .to_owned(),
        ),
        ..EmulatorOptions::default()
    };
    let lab = Lab::with(options);
    let (reader, contributor) = (token(&lab, "dev", &[]).await, token(&lab, "ops", &[]).await);
    let cases = [
        (Method::PUT, "/gamma", &reader, (403, "AuthorizationPermissionMismatch")),
        (Method::GET, "/gamma", &reader, (404, "ContainerNotFound")),
        (Method::PUT, "/gamma", &contributor, (201, "")),
        (Method::PUT, "/gamma", &contributor, (409, "ContainerAlreadyExists")),
        (Method::PUT, "/Gamma", &contributor, (400, "InvalidResourceName")),
        (Method::GET, "/gamma", &reader, (200, "")),
        (Method::DELETE, "/gamma", &contributor, (400, "InvalidUri")),
    ];
    for (method, path, token, expected) in cases {
        let reply =
            ask(&lab, method.clone(), &format!("{path}?restype=container"), Some(token)).await;
        assert_eq!(code(&reply), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn claims_challenge_stands_until_a_token_with_the_claims_comes() {
    let lab = Lab::start();
    lab.control("policies", json!({"resource": "https://storage.azure.com", "require": "claims"}))
        .await;
    let deaf = token(&lab, "dev", &[]).await;
    let reply = ask(&lab, Method::GET, "?comp=list", Some(&deaf)).await;
    assert_eq!(code(&reply), (403, "AuthorizationFailure"), "it did not declare cp1");

    let cp1 = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
    let able = token(&lab, "dev", &[("claims", cp1)]).await;
    let reply = ask(&lab, Method::GET, "?comp=list", Some(&able)).await;
    let challenge = reply.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(r#"error="insufficient_claims""#), "{challenge}");
    let encoded = challenge.split(r#"claims=""#).nth(1).unwrap().trim_end_matches('"');
    let claims =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
    let satisfied = token(&lab, "dev", &[("claims", std::str::from_utf8(&claims).unwrap())]).await;
    assert_eq!(ask(&lab, Method::GET, "?comp=list", Some(&satisfied)).await.status(), 200);
}

#[tokio::test]
async fn resource_manager_lists_tenants_and_the_tokens_subscription() {
    let lab = Lab::start();
    let token =
        token(&lab, "guest", &[("scope", "https://management.core.windows.net//.default")]).await;
    let ask = async |path: &str| -> serde_json::Value {
        let request = lab.http().get(lab.url(path)).bearer_auth(&token);
        request.send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(ask("/tenants?api-version=2022-12-01").await["value"].as_array().unwrap().len(), 2);
    let subscriptions = ask("/subscriptions?api-version=2022-12-01").await;
    assert_eq!(subscriptions["value"][0]["displayName"], "Contoso development");
    assert_eq!(lab.get("/subscriptions").await.status(), 401);
}

/// A credential that has its token already.
#[derive(Debug)]
struct Held(String);

#[async_trait::async_trait]
impl TokenCredential for Held {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, [STORAGE]);
        let expires =
            azure_core::time::OffsetDateTime::now_utc() + azure_core::time::Duration::hours(1);
        Ok(AccessToken::new(self.0.clone(), expires))
    }
}

#[tokio::test]
async fn azure_storage_client_for_rust_lists_containers_in_pages() {
    let lab = Lab::start();
    let credential = Arc::new(Held(token(&lab, "dev", &[]).await));
    let options = BlobServiceClientOptions {
        client_options: ClientOptions {
            transport: Some(Transport::new(Arc::new(lab.http().clone()))),
            ..ClientOptions::default()
        },
        ..BlobServiceClientOptions::default()
    };
    let url = Url::parse(&lab.ready().blob_endpoint).unwrap();
    let client = BlobServiceClient::new(url, Some(credential), Some(options)).unwrap();
    let containers: Vec<_> = client.list_containers(None).unwrap().try_collect().await.unwrap();
    let names: Vec<_> = containers.into_iter().map(|container| container.name.unwrap()).collect();
    assert_eq!(names, ["alpha", "beta"]);
}
