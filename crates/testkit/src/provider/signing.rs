#![expect(clippy::expect_used, reason = "the key is a constant of this crate")]

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::effects::lock;

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

/// A token signed with the test key, under the id `kid` if one is given. Signing is slow, and most
/// tests ask for the same token many times within one simulated second.
pub(crate) fn sign(claims: &Value, kid: Option<&str>) -> String {
    static SIGNED: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(kid.unwrap_or(&KEY.0.kid).to_owned());
    let token = || jsonwebtoken::encode(&header, claims, &KEY.1).expect("the test key signs");
    lock(&SIGNED).entry(format!("{kid:?}{claims}")).or_insert_with(token).clone()
}

/// The public half, RFC 7517 §5.
pub(crate) fn key_set() -> Value {
    let (key, _) = &*KEY;
    json!({ "keys": [{ "kty": "RSA", "use": "sig", "kid": key.kid, "n": key.n, "e": key.e }] })
}
