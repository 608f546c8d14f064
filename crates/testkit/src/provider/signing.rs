#![allow(clippy::expect_used, reason = "the key is a constant of this crate")]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Key {
    kid: String,
    n: String,
    e: String,
    private_pkcs1_der: String,
}

static KEY: LazyLock<(Key, EncodingKey)> = LazyLock::new(|| {
    let text = include_str!("../../testdata/keys/test-only-signing-key.json");
    let key: Key = serde_json::from_str(text).expect("the key file is JSON");
    let der = URL_SAFE_NO_PAD.decode(&key.private_pkcs1_der).expect("the key is base64url");
    let encoding = EncodingKey::from_rsa_der(&der);
    (key, encoding)
});

/// A token signed with the test key, under the id `kid` if one is given.
pub(crate) fn sign(claims: &Value, kid: Option<&str>) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(kid.unwrap_or(&KEY.0.kid).to_owned());
    jsonwebtoken::encode(&header, claims, &KEY.1).expect("the test key signs")
}

/// The public half, RFC 7517 §5.
pub(crate) fn key_set() -> Value {
    let (key, _) = &*KEY;
    json!({ "keys": [{ "kty": "RSA", "use": "sig", "kid": key.kid, "n": key.n, "e": key.e }] })
}
