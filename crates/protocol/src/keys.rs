//! The keys that sign id tokens: RFC 7517.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use keybearer_core::{CorrelationId, Error, Result, TenantId};
use serde::Deserialize;
use serde_json::Value;

use crate::Body;
use crate::exchange::{get, read};
use crate::metadata::ProviderMetadata;

/// Asks for the provider's keys.
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

/// Reads the answer, RFC 7517 §5. Keys of a kind this crate does not use are left out.
///
/// # Errors
/// `Protocol` if it is not a key set or has no usable key.
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
        self.find(kid).is_some()
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.kid == kid)
    }

    /// Whether a key of this id may sign for this issuer and directory. Entra names the issuer
    /// beside each key that does not belong to all.
    pub(crate) fn speaks_for(&self, kid: &str, issuer: &str, tenant: &TenantId) -> bool {
        let agrees = |named: &String| named.replace("{tenantid}", tenant.as_str()) == issuer;
        self.0.iter().any(|key| key.kid == kid && key.issuer.as_ref().is_none_or(agrees))
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
    /// Reads one key; `None` for one that cannot check a signature of an id token.
    fn usable(value: Value) -> Option<Self> {
        let issuer = value.get("issuer").and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let (algorithm, declared) = match jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(_) => (Algorithm::ES256, KeyAlgorithm::ES256),
            _ => return None,
        };
        let common = &jwk.common;
        let signs =
            common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
                && common.key_algorithm.is_none_or(|algorithm| algorithm == declared);
        let public = DecodingKey::from_jwk(&jwk).ok().filter(|_| signs)?;
        Some(Self { kid: jwk.common.key_id?, issuer, algorithm, public })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(keys: &str) -> Result<KeySet> {
        parse(&http::Response::new(Body::new(format!(r#"{{"keys":[{keys}]}}"#).into_bytes())))
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
        ] {
            assert!(parsed(unusable).is_err(), "{unusable}");
        }
        assert!(!parsed(&format!("{rsa},{{\"kty\":\"new\",\"kid\":\"b\"}}")).unwrap().has("b"));
    }

    #[test]
    fn a_key_with_an_issuer_speaks_only_for_it() {
        let issuer = "https://l.example/{tenantid}/v2.0";
        let set = parsed(&format!(
            r#"{{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB","issuer":"{issuer}"}}"#
        ))
        .unwrap();
        let tenant = TenantId::parse("t").unwrap();
        assert!(set.speaks_for("a", "https://l.example/t/v2.0", &tenant));
        assert!(!set.speaks_for("a", "https://l.example/u/v2.0", &tenant));
        assert!(!set.speaks_for("b", "https://l.example/t/v2.0", &tenant));
    }
}
