//! Id tokens: OpenID Connect Core §3.1.3.7, checked to the letter and against the given time.

use keybearer_core::{ClientId, Error, IdToken, Tenant, TenantId, Timestamp};

use crate::keys::KeySet;
use crate::metadata::ProviderMetadata;

/// What an id token must agree with.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built field by field")]
pub struct Expectation<'a> {
    /// The app that asked.
    pub client_id: &'a ClientId,
    /// Who was asked.
    pub metadata: &'a ProviderMetadata,
    /// The keys of whoever was asked.
    pub keys: &'a KeySet,
    /// The nonce of the authorization request; `None` for a refresh.
    pub nonce: Option<&'a str>,
    /// The directory that was asked for.
    pub tenant: &'a Tenant,
    /// This machine's clock.
    pub now: Timestamp,
}

/// Why an id token is not accepted.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_enums, reason = "the caller decides about the two cases")]
pub enum Invalid {
    /// It is signed with a key that is not in the set; the caller fetches the keys anew, once.
    UnknownKey {
        /// The key's id.
        kid: String,
    },
    /// Anything else; asking again will not help.
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

/// What an id token says about the person.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct IdTokenClaims {
    /// The object id in the directory; the subject where there is none.
    pub oid: String,
    /// The subject: the person as this one app sees them.
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
    /// What the person signs in as; the object id if the token does not tell.
    #[must_use]
    pub fn username(&self) -> &str {
        self.preferred_username.as_deref().or(self.upn.as_deref()).unwrap_or(&self.oid)
    }
}

/// Checks an id token and reads it, OpenID Connect Core §3.1.3.7.
///
/// # Errors
/// [`Invalid::UnknownKey`] if the keys may be outdated; otherwise `Protocol`, with a hint to set
/// the clock if that seems to be the reason.
pub fn validate(token: &IdToken, expectation: &Expectation<'_>) -> Result<IdTokenClaims, Invalid> {
    let _ = (token, expectation);
    todo!()
}
