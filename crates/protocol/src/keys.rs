//! The keys that sign id tokens: [RFC 7517](https://www.rfc-editor.org/rfc/rfc7517).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use keybearer_core::{ClientId, CorrelationId, Error, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::Body;
use crate::exchange::{get, read};
use crate::metadata::ProviderMetadata;

/// Builds the request for the provider's keys.
///
/// # Errors
/// `InvalidRequest` on the field `authority` if the address of the keys cannot stand in an HTTP
/// request.
pub fn request(
    metadata: &ProviderMetadata,
    correlation_id: &CorrelationId,
) -> Result<http::Request<Body>> {
    get(&metadata.jwks_uri, correlation_id)
}

/// Builds the request for the provider's keys and those of one app. Entra signs with a key of the app
/// if its registration customizes claims, and lists that key only in the response to this request.
///
/// # Errors
/// As [`request`].
pub fn request_for_app(
    metadata: &ProviderMetadata,
    client_id: &ClientId,
    correlation_id: &CorrelationId,
) -> Result<http::Request<Body>> {
    let mut url = metadata.jwks_uri.clone();
    url.query_pairs_mut().append_pair("appid", client_id.as_str());
    get(&url, correlation_id)
}

/// Reads the response, RFC 7517 §5, without the keys of types this crate does not use.
///
/// # Errors
/// `Protocol` if the response is not a key set or has no usable key.
pub fn parse(response: &http::Response<Body>) -> Result<KeySet> {
    let wire: Wire = read(response, "request for the provider's keys")?;
    let keys: Vec<Key> = wire.keys.into_iter().filter_map(Key::usable).collect();
    if keys.is_empty() {
        return Err(Error::protocol("a set of signing keys", "one without a usable key"));
    }
    Ok(KeySet(keys))
}

#[derive(Deserialize)]
struct Wire {
    keys: Vec<Value>,
}

/// A provider's public signing keys.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// Whether there is a key with this id.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        self.named(kid).next().is_some()
    }

    /// The keys with this id. Entra lists a key once for each of its issuers.
    pub(crate) fn named(&self, kid: &str) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| key.kid == kid)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    kid: String,
    issuer: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) public: DecodingKey,
}

impl Key {
    /// Parses one key; `None` if it cannot verify id tokens.
    fn usable(value: Value) -> Option<Self> {
        let issuer = value.get("issuer").and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let (algorithm, declared) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            _ => return None,
        };
        let common = &jwk.common;
        let signs =
            common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
                && common.key_algorithm.is_none_or(|algorithm| algorithm == declared);
        let public = DecodingKey::from_jwk(&jwk).ok().filter(|_| signs)?;
        Some(Self { kid: jwk.common.key_id?, issuer, algorithm, public })
    }

    /// Whether the key may sign for this issuer; Entra lists the issuer beside the key.
    pub(crate) fn speaks_for(&self, issuer: &str, tenant: &str) -> bool {
        self.issuer.as_ref().is_none_or(|own| own.replace("{tenantid}", tenant) == issuer)
    }
}

#[cfg(test)]
mod tests {
    use keybearer_core::Authority;

    use super::*;
    use crate::testdata::metadata;

    fn parsed(keys: &str) -> Result<KeySet> {
        parse(&http::Response::new(Body::new(format!(r#"{{"keys":[{keys}]}}"#).into_bytes())))
    }

    #[test]
    fn the_keys_of_an_app_are_asked_for_by_its_id() {
        let metadata = metadata(&Authority::parse("https://localhost:8443/common").unwrap());
        let (app, id) = (ClientId::parse("app-1").unwrap(), CorrelationId::default());
        let all = request(&metadata, &id).unwrap();
        assert_eq!(all.uri(), "https://localhost:8443/common/discovery/v2.0/keys");
        assert!(!all.headers().contains_key("client-request-id"), "there is no id to send");
        let own = request_for_app(&metadata, &app, &id).unwrap();
        assert_eq!(own.uri(), "https://localhost:8443/common/discovery/v2.0/keys?appid=app-1");
    }

    #[test]
    fn keys_that_cannot_check_an_id_token_are_left_out() {
        let rsa = r#"{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}"#;
        assert!(parsed(rsa).unwrap().has("a"));
        for unusable in [
            "",
            "1",
            r#"{"kty":"oct","kid":"a","k":"AQAB"}"#,
            r#"{"kty":"new","kid":"a"}"#,
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"RSA","kid":"a","use":"enc","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"RSA","kid":"a","alg":"PS256","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"RSA","kid":"a","n":"*","e":"AQAB"}"#,
            r#"{"kty":"EC","kid":"a","crv":"P-384","x":"AQAB","y":"AQAB"}"#,
        ] {
            assert!(parsed(unusable).is_err(), "{unusable}");
        }
        assert!(!parsed(&format!("{rsa},{{\"kty\":\"new\",\"kid\":\"b\"}}")).unwrap().has("b"));
    }

    #[test]
    fn a_key_with_an_issuer_speaks_only_for_it() {
        let set = parsed(
            r#"{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB","issuer":"https://l.example/{tenantid}/"},
               {"kty":"RSA","kid":"b","n":"AQAB","e":"AQAB"}"#,
        )
        .unwrap();
        let speaks = |kid, issuer| set.named(kid).any(|key| key.speaks_for(issuer, "t"));
        assert!(speaks("a", "https://l.example/t/") && speaks("b", "https://l.example/t/"));
        assert!(!speaks("a", "https://l.example/u/"));
    }
}
