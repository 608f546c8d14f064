//! Id tokens: [OpenID Connect Core](https://openid.net/specs/openid-connect-core-1_0.html) §3.1.3.7,
//! with every check of the specification, against the given time.

use std::time::Duration;

use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;
use keybearer_core::{ClientId, Error, IdToken, Tenant, TenantId, Timestamp};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::keys::{Key, KeySet};
use crate::metadata::ProviderMetadata;

/// What an id token must match.
#[derive(Clone, Debug)]
pub struct Expectation<'a> {
    /// The app that signs in.
    pub client_id: &'a ClientId,
    /// The provider's configuration.
    pub metadata: &'a ProviderMetadata,
    /// The provider's keys.
    pub keys: &'a KeySet,
    /// The nonce of the authorization request; `None` for a refresh.
    pub nonce: Option<&'a str>,
    /// The requested directory.
    pub tenant: &'a Tenant,
    /// The time of this machine's clock.
    pub now: Timestamp,
}

/// Why an id token is not accepted.
#[derive(Clone, Debug)]
pub enum Invalid {
    /// It is signed with a key that is not in the set. The caller fetches the keys again, once.
    UnknownKey {
        /// The key's id.
        kid: String,
    },
    /// Any other reason; retrying does not help.
    Refused(Error),
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::UnknownKey { .. } => {
                Self::protocol("an id token signed with a published key", "one with an unknown key")
            }
            Invalid::Refused(error) => error,
        }
    }
}

/// The claims of an id token about the person.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct IdTokenClaims {
    /// The object id in the directory; the subject if there is none.
    pub oid: String,
    /// The subject, which identifies the person to this app only.
    pub sub: String,
    /// The directory.
    pub tid: TenantId,
    /// The user principal name, usually.
    pub preferred_username: Option<String>,
    /// The user principal name, in older tokens.
    pub upn: Option<String>,
    /// The display name.
    pub name: Option<String>,
}

impl IdTokenClaims {
    /// The name the person signs in with; the object id if the token has none.
    #[must_use]
    pub fn username(&self) -> &str {
        self.preferred_username.as_deref().or(self.upn.as_deref()).unwrap_or(&self.oid)
    }
}

/// Validates an id token and returns its claims, OpenID Connect Core §3.1.3.7. The steps about
/// encryption (1), extensions (4), MACs (8), `acr` (12) and `auth_time` (13) do not apply to the
/// requests of this crate.
///
/// # Errors
/// [`Invalid::UnknownKey`] if the keys may be outdated; otherwise `Protocol`, with a hint to set
/// the clock if that seems to be the reason.
pub fn validate(token: &IdToken, expectation: &Expectation<'_>) -> Result<IdTokenClaims, Invalid> {
    let wire = verified(token, expectation.keys)?;
    let tid = wire.tid.as_deref().and_then(|tid| TenantId::parse(tid).ok());
    let tid = tid.ok_or_else(|| other("a directory (tid)"))?;
    // Step 2.
    ensure(wire.iss == expectation.metadata.issuer_for(&tid), "the issuer that was asked")?;
    check_tenant(&tid, expectation)?;
    check_audience(&wire, expectation.client_id)?;
    check_time(&wire, expectation.now)?;
    check_nonce(&wire, expectation.nonce)?;
    Ok(IdTokenClaims {
        oid: wire.oid.unwrap_or_else(|| wire.sub.clone()),
        sub: wire.sub,
        tid,
        preferred_username: wire.preferred_username,
        upn: wire.upn,
        name: wire.name,
    })
}

/// Steps 6 and 7: verifies the signature with a published key. The algorithm must be asymmetric, so
/// that only the provider can sign.
fn verified(token: &IdToken, keys: &KeySet) -> Result<Wire, Invalid> {
    let header = jsonwebtoken::decode_header(token.expose()).map_err(|_| malformed())?;
    // RFC 7515 §4.1.11: refuse critical extensions, none of which is supported.
    let kid = header.kid.filter(|_| header.crit.is_none()).ok_or_else(malformed)?;
    let mut outcome = Err(Invalid::UnknownKey { kid: kid.clone() });
    for key in keys.named(&kid) {
        outcome = if header.alg == key.algorithm {
            signed_by(key, token)
        } else {
            Err(other("the algorithm of its key"))
        };
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn signed_by(key: &Key, token: &IdToken) -> Result<Wire, Invalid> {
    // The library's checks of claims are off, because they would read a clock.
    let mut checks = Validation::new(key.algorithm);
    checks.required_spec_claims.clear();
    (checks.validate_exp, checks.validate_nbf, checks.validate_aud) = (false, false, false);
    let decoded = jsonwebtoken::decode::<Wire>(token.expose(), &key.public, &checks);
    let decoded = decoded.map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => other("the provider's signature"),
        _ => malformed(),
    });
    let wire = decoded?.claims;
    ensure(
        key.speaks_for(&wire.iss, wire.tid.as_deref().unwrap_or_default()),
        "a key of its issuer",
    )?;
    Ok(wire)
}

#[derive(Deserialize)]
struct Wire {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    azp: Option<String>,
    nonce: Option<String>,
    tid: Option<String>,
    oid: Option<String>,
    preferred_username: Option<String>,
    upn: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Entra's addition to step 2: the same keys sign for every directory, so the directory is checked.
fn check_tenant(tid: &TenantId, expectation: &Expectation<'_>) -> Result<(), Invalid> {
    let personal = tid.as_str() == PERSONAL;
    let fits = match expectation.tenant {
        Tenant::Common => true,
        Tenant::Organizations => !personal,
        Tenant::Consumers => personal,
        Tenant::Id(asked) if asked.is_guid() => tid == asked,
        Tenant::Id(_) => Some(tid) == expectation.metadata.tenant.as_ref(),
    };
    ensure(fits, "the directory that was asked for")
}

/// The directory of all personal accounts.
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Steps 3 and 5: the token is for this app only.
fn check_audience(wire: &Wire, client_id: &ClientId) -> Result<(), Invalid> {
    let own = |name: &String| name.eq_ignore_ascii_case(client_id.as_str());
    let audience = match &wire.aud {
        Audience::One(name) => own(name),
        Audience::Several(names) => !names.is_empty() && names.iter().all(own),
    };
    ensure(audience && wire.azp.as_ref().is_none_or(own), "this app as its only audience")
}

/// Steps 9 and 10. The token was issued just now, so it can be outside its validity only if a clock
/// is wrong; the error says by how much.
fn check_time(wire: &Wire, now: Timestamp) -> Result<(), Invalid> {
    let issued = moment(wire.iat);
    let starts = wire.nbf.map_or(issued, moment).max(issued);
    if starts > now + LEEWAY {
        return Err(clock("behind", starts.saturating_since(now)));
    }
    if moment(wire.exp) + LEEWAY <= now {
        return Err(clock("ahead", now.saturating_since(issued)));
    }
    Ok(())
}

const LEEWAY: Duration = Duration::from_secs(300);

/// RFC 7519 §2 NumericDate; absurd values saturate.
#[allow(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and the fraction is not needed"
)]
const fn moment(numeric_date: f64) -> Timestamp {
    Timestamp::from_unix_seconds(numeric_date as i64)
}

fn clock(direction: &str, off: Duration) -> Invalid {
    let minutes = off.as_secs() / 60;
    let off = match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    };
    let error = Error::protocol(
        "an id token that is valid now",
        format!("one by which this machine's clock is {off} {direction}"),
    );
    Invalid::Refused(error.with_hint("set this machine's clock, then sign in again"))
}

/// Step 11: the token belongs to this sign-in and is not replayed from another one.
fn check_nonce(wire: &Wire, expected: Option<&str>) -> Result<(), Invalid> {
    let Some(expected) = expected else { return Ok(()) };
    let same = |nonce: &String| bool::from(nonce.as_bytes().ct_eq(expected.as_bytes()));
    ensure(wire.nonce.as_ref().is_some_and(same), "the nonce of this sign-in")
}

fn ensure(holds: bool, what: &str) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(other(what)) }
}

fn other(what: &str) -> Invalid {
    Invalid::Refused(Error::protocol(format!("an id token with {what}"), "one without"))
}

fn malformed() -> Invalid {
    Invalid::Refused(Error::protocol("a signed id token", "something else"))
}

#[cfg(test)]
mod tests;
