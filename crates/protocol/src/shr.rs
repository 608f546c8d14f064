//! Signed HTTP requests (SHR), which prove that the sender has the key its access token is bound to.
//!
//! [draft-ietf-oauth-signed-http-request-03](https://datatracker.ietf.org/doc/html/draft-ietf-oauth-signed-http-request-03)
//! as Microsoft's clients write it: a JWS of type `pop`, signed with RS256, that carries the public
//! key as `cnf.jwk` ([RFC 7800](https://www.rfc-editor.org/rfc/rfc7800) §3.2).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybearer_core::{AccessToken, Error, HttpRequestToSign, Result, SignedHttpRequest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::encoding;

/// An RSA key of 2,048 bits that access tokens are bound to. Clones share it. It never leaves the
/// broker (invariant I1), and its `Debug` prints only the thumbprint.
#[derive(Clone)]
pub struct ProofKey(Arc<Parts>);

struct Parts {
    pair: KeyPair,
    jwk: Jwk,
    thumbprint: String,
}

/// The public key. The members are those of the thumbprint, in its order (RFC 7638 §3.2).
#[derive(Serialize)]
struct Jwk {
    e: String,
    kty: &'static str,
    n: String,
}

impl ProofKey {
    /// Makes a new key, which blocks the thread for tens of milliseconds. The random numbers come from
    /// the cryptographic library, which does not accept them as an argument.
    ///
    /// # Errors
    /// `Internal` if the cryptographic library fails.
    pub fn generate() -> Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048);
        Ok(Self::new(
            pair.map_err(|_| Error::internal("could not make a proof-of-possession key"))?,
        ))
    }

    /// Reads a key written by [`to_pkcs8`](Self::to_pkcs8).
    ///
    /// # Errors
    /// `Internal` if the bytes are not such a key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let pair = KeyPair::from_pkcs8(der);
        Ok(Self::new(
            pair.map_err(|_| Error::internal("could not read a proof-of-possession key"))?,
        ))
    }

    /// Writes the private key as PKCS #8 (RFC 5208). The caller must seal it at once.
    ///
    /// # Errors
    /// `Internal` if the cryptographic library fails.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        let der: Pkcs8V1Der<'_> = self
            .0
            .pair
            .as_der()
            .map_err(|_| Error::internal("could not write a proof-of-possession key"))?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    fn new(pair: KeyPair) -> Self {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = pair.public_key();
        let jwk = Jwk {
            e: number(public.exponent().big_endian_without_leading_zero()),
            kty: "RSA",
            n: number(public.modulus().big_endian_without_leading_zero()),
        };
        let canonical = format!(r#"{{"e":"{}","kty":"{}","n":"{}"}}"#, jwk.e, jwk.kty, jwk.n);
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        Self(Arc::new(Parts { pair, jwk, thumbprint }))
    }

    /// The SHA-256 thumbprint of the key, RFC 7638 §3, by which the provider identifies it.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// Signs an HTTP request, with the access token that is bound to this key or without a token.
    ///
    /// `nonce` is used if the request names none.
    ///
    /// # Errors
    /// `InvalidRequest` on `client_claims` if they are not JSON.
    pub fn sign(
        &self,
        http: &HttpRequestToSign,
        token: Option<&AccessToken>,
        now: Timestamp,
        nonce: &str,
    ) -> Result<SignedHttpRequest> {
        let header = json!({ "alg": "RS256", "kid": self.thumbprint(), "typ": "pop" });
        let claims = self.claims(http, token, now, nonce)?;
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let input = Zeroizing::new(format!("{}.{}", encode(&header.to_string()), encode(&claims)));
        let pair = &self.0.pair;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)
            .map_err(|_| Error::internal("could not sign an HTTP request"))?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(SignedHttpRequest::new(format!("{}.{signature}", *input)))
    }

    fn claims(
        &self,
        http: &HttpRequestToSign,
        token: Option<&AccessToken>,
        now: Timestamp,
        nonce: &str,
    ) -> Result<Zeroizing<String>> {
        let path = http.path.as_deref().map(|path| path.split_once('?').unwrap_or((path, "")));
        let claims = Claims {
            at: token.map(AccessToken::expose),
            client_claims: client_claims(http)?,
            cnf: BTreeMap::from([("jwk", &self.0.jwk)]),
            m: http.method.as_deref(),
            nonce: http.nonce.as_deref().unwrap_or(nonce),
            p: path.map(|(path, _)| if path.is_empty() { "/" } else { path }),
            q: path.and_then(|(_, query)| hashed_query(query)),
            ts: now.unix_millis().div_euclid(1000),
            u: http.host.as_deref(),
        };
        let text = serde_json::to_string(&claims);
        text.map(Zeroizing::new).map_err(|error| {
            Error::internal("could not write the claims of a signed HTTP request")
                .with_source(error)
        })
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProofKey").field(&self.thumbprint()).finish()
    }
}

/// Whether an HTTP request could be signed, without doing it.
///
/// # Errors
/// As [`ProofKey::sign`].
pub fn check(http: &HttpRequestToSign) -> Result<()> {
    client_claims(http).map(drop)
}

fn client_claims(http: &HttpRequestToSign) -> Result<Option<Value>> {
    let claims = http.client_claims.as_deref().map(serde_json::from_str);
    // Without the JSON error, which may quote the content.
    claims
        .transpose()
        .map_err(|_| Error::invalid_request("client_claims", "the client claims are not JSON"))
}

/// §3 of the draft; `client_claims` is Microsoft's.
#[derive(Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_claims: Option<Value>,
    cnf: BTreeMap<&'static str, &'a Jwk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    m: Option<&'a str>,
    nonce: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<(Vec<String>, String)>,
    ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    u: Option<&'a str>,
}

/// Hashes the query: the names of its parameters, and a hash over names and values, draft §3.2. A
/// name that appears twice is ambiguous to a verifier, so it is left out, as the draft requires.
fn hashed_query(query: &str) -> Option<(Vec<String>, String)> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut order = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let entry = values.entry(name.to_string()).or_default();
        if entry.is_empty() {
            order.push(name.to_string());
        }
        entry.push(value.into_owned());
    }
    order.retain(|name| values.get(name).is_some_and(|all| all.len() == 1));
    if order.is_empty() {
        return None;
    }
    let mut text = form_urlencoded::Serializer::new(String::new());
    for name in &order {
        text.append_pair(name, values[name].first().map_or("", String::as_str));
    }
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(text.finish().replace('+', "%20")));
    Some((order, hash))
}

/// Extracts the access token from a signed HTTP request, without verifying the signature.
#[must_use]
pub fn token_inside(signed: &AccessToken) -> Option<AccessToken> {
    #[derive(Deserialize)]
    struct Inside {
        at: Zeroizing<String>,
    }
    let claims = encoding::decode(signed.expose().split('.').nth(1)?)?;
    let mut inside: Inside = serde_json::from_slice(&claims).ok()?;
    Some(AccessToken::new(std::mem::take(&mut *inside.at)))
}

/// Which process has the private key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyHolder {
    /// The app.
    App,
    /// The broker, in software, which it declares (`xms_ksl`).
    Broker,
}

/// The parameters of a token request that bind the token to the key with this thumbprint:
/// `token_type`, and `req_cnf` of the draft OAuth 2.0 PoP key distribution as Entra reads it.
#[must_use]
pub fn token_request_parameters(key_id: &str, holder: KeyHolder) -> BTreeMap<String, String> {
    let confirmation = match holder {
        KeyHolder::Broker => json!({ "kid": key_id, "xms_ksl": "sw" }),
        KeyHolder::App => json!({ "kid": key_id }),
    };
    [
        ("req_cnf", URL_SAFE_NO_PAD.encode(confirmation.to_string())),
        ("token_type", "pop".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::Jwk as PublicJwk;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use keybearer_core::ErrorKind;

    use super::*;

    fn signed(key: &ProofKey, http: &HttpRequestToSign) -> Value {
        let token = AccessToken::new("at".into());
        let now = Timestamp::from_unix_seconds(1_700_000_000);
        let signed = key.sign(http, Some(&token), now, "random").unwrap();
        let header = jsonwebtoken::decode_header(signed.expose()).unwrap();
        assert_eq!(header.typ.as_deref(), Some("pop"));
        assert_eq!(header.kid.as_deref(), Some(key.thumbprint()));
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let jwk: PublicJwk =
            serde_json::from_value(serde_json::to_value(&key.0.jwk).unwrap()).unwrap();
        let public = DecodingKey::from_jwk(&jwk).unwrap();
        let decoded = jsonwebtoken::decode::<Value>(signed.expose(), &public, &validation);
        let mut claims = decoded.unwrap().claims;
        let jwk = claims.as_object_mut().unwrap().remove("cnf").unwrap();
        assert_eq!(jwk["jwk"]["kty"], "RSA");
        assert!(token_inside(&AccessToken::new(signed.expose().into())).unwrap().same_as(&token));
        claims
    }

    #[test]
    fn a_signature_is_about_the_request_and_the_token() {
        let key = ProofKey::generate().unwrap();
        let http = HttpRequestToSign {
            method: Some("GET".into()),
            host: Some("graph.microsoft.com".into()),
            path: Some("/v1.0/me".into()),
            nonce: Some("theirs".into()),
            client_claims: Some(r#"{"a":1}"#.into()),
        };
        assert_eq!(
            signed(&key, &http),
            json!({ "at": "at", "client_claims": { "a": 1 }, "m": "GET", "nonce": "theirs",
                    "p": "/v1.0/me", "ts": 1_700_000_000, "u": "graph.microsoft.com" })
        );
        assert_eq!(
            signed(&key, &HttpRequestToSign::default()),
            json!({ "at": "at", "nonce": "random", "ts": 1_700_000_000 })
        );
    }

    #[test]
    fn a_query_is_signed_as_the_draft_says() {
        // The example of §3.2 of the draft.
        let (names, hash) = hashed_query("b=bar&a=foo&c=duck").unwrap();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(hash, "u4LgkGUWhP9MsKrEjA4dizIllDXluDku6ZqCeyuR-JY");
        let (names, _) = hashed_query("a=1&b=2&a=3").unwrap();
        assert_eq!(names, ["b"]);
        assert!(hashed_query("").is_none());
    }

    #[test]
    fn a_key_survives_the_way_through_the_store() {
        let key = ProofKey::generate().unwrap();
        let again = ProofKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(again.thumbprint(), key.thumbprint());
        assert!(ProofKey::from_pkcs8(b"something else").is_err());
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("ProofKey(\"{}\")", key.thumbprint()));
    }

    #[test]
    fn client_claims_that_are_not_json_are_refused_by_name() {
        let key = ProofKey::generate().unwrap();
        let http = HttpRequestToSign { client_claims: Some("{".into()), ..Default::default() };
        let error = key.sign(&http, None, Timestamp::from_unix_seconds(0), "n").unwrap_err();
        let wanted = ErrorKind::InvalidRequest { field: "client_claims".into() };
        assert_eq!(*error.kind(), wanted, "{error}");
    }

    #[test]
    fn a_token_request_names_the_key() {
        let parameters = token_request_parameters("thumb", KeyHolder::Broker);
        assert_eq!(parameters["token_type"], "pop");
        let confirmation = URL_SAFE_NO_PAD.decode(&parameters["req_cnf"]).unwrap();
        assert_eq!(confirmation, br#"{"kid":"thumb","xms_ksl":"sw"}"#);
        let own = &token_request_parameters("thumb", KeyHolder::App)["req_cnf"];
        assert_eq!(URL_SAFE_NO_PAD.decode(own).unwrap(), br#"{"kid":"thumb"}"#);
    }
}
