//! Tokens bound to a key, and the resource that takes nothing else.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{ALL, AZURE, Lab};

const POWERSHELL: &str = "1950a258-227b-4e31-a9cf-717495945fc2";

/// An app's key.
struct Key(KeyPair);

impl Key {
    fn new() -> Self {
        Self(KeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn jwk(&self) -> Value {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = self.0.public_key();
        json!({
            "kty": "RSA",
            "e": number(public.exponent().big_endian_without_leading_zero()),
            "n": number(public.modulus().big_endian_without_leading_zero()),
        })
    }

    fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let canonical = format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, jwk["e"], jwk["n"]);
        URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let input = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut signature).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A token request for one bound to the key with this confirmation.
async fn bound(lab: &Lab, refresh_token: &str, confirmation: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", AZURE),
        ("refresh_token", refresh_token),
        ("scope", ALL),
        ("token_type", "pop"),
        ("req_cnf", confirmation),
    ];
    lab.token(lab.tenant(), &form).await
}

fn confirmation(key: &Key) -> String {
    URL_SAFE_NO_PAD.encode(json!({ "kid": key.thumbprint(), "xms_ksl": "sw" }).to_string())
}

struct Resource<'a> {
    lab: &'a Lab,
    key: Key,
    token: String,
    host: String,
}

impl<'a> Resource<'a> {
    async fn with_token(lab: &'a Lab) -> Self {
        let key = Key::new();
        let signed_in = lab.sign_in("dev", &[]).await;
        let refresh_token = signed_in["refresh_token"].as_str().unwrap();
        let (status, body) = bound(lab, refresh_token, &confirmation(&key)).await;
        assert_eq!((status, &body["token_type"]), (200, &json!("pop")));
        let endpoint = &lab.ready().blob_endpoint;
        let host = endpoint.trim_start_matches("https://").split('/').next().unwrap().to_owned();
        Self { lab, key, token: body["access_token"].as_str().unwrap().to_owned(), host }
    }

    /// What is right for `GET /pop/a?b=c`.
    fn good(&self, nonce: &str) -> (Value, Value) {
        let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, b"b=c"));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        (
            json!({ "alg": "RS256", "typ": "pop", "kid": self.key.thumbprint() }),
            json!({
                "at": self.token, "ts": now.as_secs(), "m": "GET", "u": self.host, "p": "/pop/a",
                "q": [["b"], hash], "nonce": nonce, "cnf": { "jwk": self.key.jwk() },
                "client_claims": { "x": 1 },
            }),
        )
    }

    async fn ask(&self, authorization: String) -> (u16, Value) {
        let url = format!("https://{}/pop/a?b=c", self.host);
        let request = self.lab.http().get(url).header("authorization", authorization);
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    async fn refusal(&self, authorization: String) -> String {
        let (status, body) = self.ask(authorization).await;
        assert_eq!(status, 401, "{body}");
        body["refused"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn signed_request_is_served_once_and_only_if_every_part_of_it_is_right() {
    let lab = Lab::start();
    let resource = Resource::with_token(&lab).await;
    let (header, claims) = resource.good("first");
    let signed = resource.key.sign(&header, &claims);
    let (status, body) = resource.ask(format!("PoP {signed}")).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        (&body["upn"], &body["query_signed"]),
        (&json!("dev@contoso.example"), &json!(true))
    );
    assert_eq!(body["client_claims"], json!({ "x": 1 }));
    assert_eq!(resource.refusal(format!("PoP {signed}")).await, "replay");
    assert_eq!(resource.refusal(format!("Bearer {signed}")).await, "scheme");
    assert_eq!(resource.refusal(format!("PoP {}", resource.token)).await, "header");

    let later = claims["ts"].as_i64().unwrap() + 400;
    let cases = [
        ("m", json!("POST"), "m"),
        ("m", json!(null), "m"),
        ("u", json!("localhost"), "u"),
        ("p", json!("/pop"), "p"),
        ("p", json!("/pop/a?b=c"), "p"),
        ("q", json!([["b"], "other"]), "q"),
        ("q", json!([["b", "z"], claims["q"][1]]), "q"),
        ("ts", json!(later), "ts"),
        ("ts", json!("now"), "ts"),
        ("nonce", json!(null), "nonce"),
        ("at", json!(null), "at"),
        ("at", json!("x.y.z"), "token signature"),
        ("cnf", json!({ "jwk": Key::new().jwk() }), "signature"),
        ("cnf", json!({ "jwk": { "kty": "EC" } }), "cnf"),
    ];
    for (name, value, expected) in cases {
        let (header, mut claims) = resource.good(&format!("{name} {value}"));
        claims[name] = value;
        let signed = resource.key.sign(&header, &claims);
        assert_eq!(resource.refusal(format!("PoP {signed}")).await, expected, "{name}");
    }
    for (name, value, expected) in
        [("alg", "none", "header"), ("typ", "JWT", "header"), ("kid", "other", "kid")]
    {
        let (mut header, claims) = resource.good(name);
        header[name] = json!(value);
        let signed = resource.key.sign(&header, &claims);
        assert_eq!(resource.refusal(format!("PoP {signed}")).await, expected, "{name}");
    }
}

#[tokio::test]
async fn bound_token_is_no_good_with_another_key_or_without_any() {
    let lab = Lab::start();
    let resource = Resource::with_token(&lab).await;
    let thief = Key::new();
    let (mut header, mut claims) = resource.good("theft");
    header["kid"] = json!(thief.thumbprint());
    claims["cnf"]["jwk"] = thief.jwk();
    let signed = thief.sign(&header, &claims);
    assert_eq!(resource.refusal(format!("PoP {signed}")).await, "another key");
    let blob = format!("{}?comp=list", lab.ready().blob_endpoint);
    let request = lab.http().get(blob).header("x-ms-version", "2025-11-05");
    let reply = request.bearer_auth(&resource.token).send().await.unwrap();
    assert_eq!(reply.status(), 401, "a bound token is no bearer token");
    // And a bearer token is no bound one.
    let signed_in = lab.sign_in("dev", &[]).await;
    let (header, mut claims) = resource.good("bearer");
    claims["at"] = signed_in["access_token"].clone();
    let signed = resource.key.sign(&header, &claims);
    assert_eq!(resource.refusal(format!("PoP {signed}")).await, "another key");
}

#[tokio::test]
async fn key_is_named_by_a_thumbprint_or_the_request_is_refused() {
    let lab = Lab::start();
    let signed_in = lab.sign_in("dev", &[]).await;
    let refresh_token = signed_in["refresh_token"].as_str().unwrap();
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for bad in ["", "not base64!", &encode(json!({})), &encode(json!({ "kid": "short" }))] {
        let (status, body) = bound(&lab, refresh_token, bad).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_request")), "{bad}: {body}");
    }
}

#[tokio::test]
async fn app_of_the_family_may_use_the_refresh_token_of_another() {
    let lab = Lab::start();
    let signed_in = lab.sign_in("dev", &[]).await;
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", POWERSHELL),
        ("refresh_token", signed_in["refresh_token"].as_str().unwrap()),
        ("scope", ALL),
    ];
    let (status, body) = lab.token(lab.tenant(), &form).await;
    assert_eq!((status, &body["foci"]), (200, &json!("1")), "{body}");
}
