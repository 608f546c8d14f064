use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use keybearer_core::{Authority, AuthorityHost};
use serde_json::{Map, Value, json};

use super::*;
use crate::testdata::{cases, metadata};
use crate::{Body, keys};

const NOW: i64 = 1_800_000_000;
const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const KEYS: &[u8] = include_bytes!("../../testdata/id_tokens/keys.jwks");
const RSA_KEY: &[u8] = include_bytes!("../../testdata/id_tokens/test-only-rsa-key.der");
const EC_KEY: &[u8] = include_bytes!("../../testdata/id_tokens/test-only-ec-key.der");

/// A good token with some changes, and what becomes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    docs: String,
    /// `accepted`, `unknown key`, or a part of the reason for refusing it.
    outcome: String,
    /// Replaces, or with `null` removes, parts of the header.
    #[serde(default)]
    header: Map<String, Value>,
    /// Replaces, or with `null` removes, claims.
    #[serde(default)]
    claims: Map<String, Value>,
    #[serde(default)]
    forgery: Forgery,
    #[serde(default = "own_tenant")]
    tenant: String,
    #[serde(default = "own_nonce")]
    nonce: Option<String>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Forgery {
    #[default]
    Genuine,
    Signature,
    Claims,
    Truncated,
    None,
}

fn own_tenant() -> String {
    TENANT.into()
}

#[allow(clippy::unnecessary_wraps, reason = "the default of an optional field")]
fn own_nonce() -> Option<String> {
    Some("n-1".into())
}

impl Case {
    fn token(&self) -> IdToken {
        let header = changed(json!({"alg": "RS256", "kid": "test-only-rsa"}), &self.header);
        let claims = json!({
            "iss": format!("https://localhost:8443/{TENANT}/v2.0"),
            "aud": "app-1", "sub": "sub-1", "oid": "oid-1", "tid": TENANT, "nonce": "n-1",
            "iat": NOW, "nbf": NOW, "exp": NOW + 3600,
            "preferred_username": "dev@contoso.example", "name": "Dev",
        });
        IdToken::new(self.forgery.of(&header, &changed(claims, &self.claims)))
    }

    fn validated(&self) -> Result<IdTokenClaims, Invalid> {
        let tenant = Tenant::parse(&self.tenant).unwrap();
        let host = AuthorityHost::parse("localhost:8443").unwrap();
        let expectation = Expectation {
            client_id: &ClientId::parse("app-1").unwrap(),
            metadata: &metadata(&Authority::new(host, tenant.clone())),
            keys: &keys::parse(&http::Response::new(Body::new(KEYS.to_vec()))).unwrap(),
            nonce: self.nonce.as_deref(),
            tenant: &tenant,
            now: Timestamp::from_unix_seconds(NOW),
        };
        validate(&self.token(), &expectation)
    }
}

impl Forgery {
    fn of(&self, header: &Value, claims: &Value) -> String {
        if *self == Self::None {
            return format!("{}.{}.", encoded(&json!({"alg": "none"})), encoded(claims));
        }
        let token = signed(header, claims);
        let (content, signature) = token.rsplit_once('.').unwrap();
        let (head, _) = content.split_once('.').unwrap();
        match self {
            Self::Signature => format!("{content}.{}", encoded(&json!("forged"))),
            Self::Claims => {
                let claims = changed(claims.clone(), json!({"oid": "evil"}).as_object().unwrap());
                format!("{head}.{}.{signature}", encoded(&claims))
            }
            Self::Truncated => content.into(),
            Self::Genuine | Self::None => token,
        }
    }
}

/// Signs with the key the header names or, for HS256, with the published key set, which is no secret.
fn signed(header: &Value, claims: &Value) -> String {
    let header: Header = serde_json::from_value(header.clone()).unwrap();
    let key = match header.alg {
        Algorithm::ES256 => EncodingKey::from_ec_der(EC_KEY),
        Algorithm::HS256 => EncodingKey::from_secret(KEYS),
        _ => EncodingKey::from_rsa_der(RSA_KEY),
    };
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn changed(mut object: Value, changes: &Map<String, Value>) -> Value {
    for (name, value) in changes {
        object[name] = value.clone();
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object
}

#[test]
fn every_case_becomes_what_its_file_says() {
    for case in cases::<Case>("id_tokens") {
        let outcome = match case.validated() {
            Ok(_) => "accepted".to_owned(),
            Err(Invalid::UnknownKey { .. }) => "unknown key".to_owned(),
            Err(Invalid::Refused(error)) => error.message(),
        };
        assert!(outcome.contains(&case.outcome), "{}: {outcome}", case.docs);
    }
}

fn case(value: Value) -> Case {
    serde_json::from_value(changed(json!({"docs": "", "outcome": ""}), value.as_object().unwrap()))
        .unwrap()
}

#[test]
fn the_person_is_read_from_the_claims() {
    let claims = case(json!({})).validated().unwrap();
    assert_eq!((claims.oid.as_str(), claims.sub.as_str()), ("oid-1", "sub-1"));
    assert_eq!(claims.tid.as_str(), TENANT);
    assert_eq!((claims.username(), claims.name.as_deref()), ("dev@contoso.example", Some("Dev")));
}

#[test]
fn the_subject_stands_in_for_an_object_id_and_older_names_for_newer() {
    let older = json!({"claims": {"oid": null, "preferred_username": null, "upn": "old@x"}});
    let claims = case(older).validated().unwrap();
    assert_eq!((claims.oid.as_str(), claims.username()), ("sub-1", "old@x"));
    let bare = json!({"claims": {"preferred_username": null}});
    assert_eq!(case(bare).validated().unwrap().username(), "oid-1");
}

#[test]
fn a_domain_stands_for_the_directory_its_configuration_names() {
    let guid = Authority::parse(&format!("https://localhost:8443/{TENANT}")).unwrap();
    let tenant = Tenant::parse("contoso.example").unwrap();
    let keys = keys::parse(&http::Response::new(Body::new(KEYS.to_vec()))).unwrap();
    let expectation = Expectation {
        client_id: &ClientId::parse("app-1").unwrap(),
        metadata: &metadata(&guid),
        keys: &keys,
        nonce: None,
        tenant: &tenant,
        now: Timestamp::from_unix_seconds(NOW),
    };
    validate(&case(json!({})).token(), &expectation).unwrap();
}

#[test]
fn a_wrong_clock_is_told_with_what_to_do() {
    let late = json!({"claims": {"iat": NOW - 9000, "nbf": null, "exp": NOW - 5400}});
    let error = Error::from(case(late).validated().unwrap_err());
    assert_eq!(error.hint(), Some("set this machine's clock, then sign in again"));
}

#[test]
fn the_unknown_key_is_named() {
    let unknown = case(json!({"header": {"kid": "new"}})).validated().unwrap_err();
    assert!(matches!(unknown, Invalid::UnknownKey { kid } if kid == "new"));
}
