//! The authorization endpoint: [RFC 6749](https://www.rfc-editor.org/rfc/rfc6749) §4.1 with PKCE,
//! and the answer that arrives at the redirect URI.

use std::collections::BTreeMap;

use keybearer_core::{
    AuthorizationCode, Claims, ClientId, CorrelationId, Error, Prompt, Result, ScopeSet,
};
use subtle::ConstantTimeEq;
use url::Url;

use crate::metadata::ProviderMetadata;
use crate::parameters::{Parameters, redirect_uri, scope};
use crate::{RedirectParameters, error};

/// Asks a person to sign in, OpenID Connect Core §3.1.2.1.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest<'a> {
    /// The provider's configuration.
    pub metadata: &'a ProviderMetadata,
    /// The app.
    pub client_id: &'a ClientId,
    /// Where the provider sends the answer.
    pub redirect_uri: &'a Url,
    /// How the browser transmits the answer.
    pub response_mode: ResponseMode,
    /// The requested scopes; the sign-in scopes are added.
    pub scopes: &'a ScopeSet,
    /// Identifies the answer to this request.
    pub state: &'a str,
    /// Identifies the id token of this request.
    pub nonce: &'a str,
    /// See [`pkce::challenge`](crate::pkce::challenge).
    pub challenge: &'a str,
    /// When the provider asks the person.
    pub prompt: Prompt,
    /// The account that is expected to sign in.
    pub login_hint: Option<&'a str>,
    /// Claims request, already merged with the client's capabilities.
    pub claims: Option<&'a Claims>,
    /// Further parameters, such as `domain_hint`.
    pub extra_query: &'a BTreeMap<String, String>,
    /// Identifies the operation.
    pub correlation_id: &'a CorrelationId,
}

/// How the browser transmits the answer to the redirect URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseMode {
    /// In the body of a POST, for a loopback listener: the code does not end up in the browser's
    /// history. OAuth 2.0 Form Post Response Mode §2.
    FormPost,
    /// In the query, for a sign-in window that watches for the redirect URI, and for pasting.
    Query,
}

impl ResponseMode {
    const fn as_parameter(self) -> &'static str {
        match self {
            Self::FormPost => "form_post",
            Self::Query => "query",
        }
    }
}

impl AuthorizationRequest<'_> {
    /// The address to show to the person.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `extra_query` if it contains a reserved parameter.
    pub fn url(&self) -> Result<Url> {
        let mut parameters = Parameters::new([
            ("client_id", Some(self.client_id.as_str().into())),
            ("response_type", Some("code".into())),
            ("response_mode", Some(self.response_mode.as_parameter().into())),
            ("redirect_uri", Some(redirect_uri(self.redirect_uri).into())),
            ("scope", Some(scope(self.scopes).into())),
            ("state", Some(self.state.into())),
            ("nonce", Some(self.nonce.into())),
            ("code_challenge", Some(self.challenge.into())),
            ("code_challenge_method", Some("S256".into())),
            ("client_info", Some("1".into())),
            ("client-request-id", self.operation().map(Into::into)),
            ("prompt", self.prompt.as_parameter().map(Into::into)),
            ("login_hint", self.login_hint.map(Into::into)),
            ("claims", self.claims.map(|claims| claims.as_str().into())),
        ]);
        parameters.extend(self.extra_query)?;
        Ok(parameters.append_to(&self.metadata.authorization_endpoint))
    }

    fn operation(&self) -> Option<&str> {
        (!self.correlation_id.is_empty()).then(|| self.correlation_id.as_str())
    }
}

/// The request that an authorization answer must match.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The state of the request.
    pub state: &'a str,
    /// The configuration of the provider that was asked.
    pub metadata: &'a ProviderMetadata,
}

/// An answer at the redirect URI.
#[derive(Debug)]
#[must_use]
pub enum Answer {
    /// The person signed in.
    Code(AuthorizationCode),
    /// The sign-in has failed.
    Refused(Error),
    /// The answer does not belong to the request; the right one may still arrive (invariant I9).
    NotOurs,
}

/// Reads an answer, RFC 6749 §4.1.2.
pub fn answer(parameters: &RedirectParameters, expected: &Expected<'_>) -> Answer {
    let own_state = parameters.only("state").is_some_and(|state| same(state, expected.state));
    if !own_state || expected.state.is_empty() {
        return Answer::NotOurs;
    }
    if let Err(error) = check_issuer(parameters, expected.metadata) {
        return Answer::Refused(error);
    }
    match (parameters.has("error"), parameters.has("code"), parameters.only("code")) {
        (true, false, _) => Answer::Refused(error::from_redirect(parameters)),
        (false, true, Some(code)) if !code.is_empty() => {
            Answer::Code(AuthorizationCode::new(code.to_owned()))
        }
        (has_error, has_code, _) => Answer::Refused(ambiguous(has_error, has_code)),
    }
}

/// RFC 9207 §2.4: an answer of another provider than the one asked is a mix-up attack.
fn check_issuer(parameters: &RedirectParameters, metadata: &ProviderMetadata) -> Result<()> {
    let absent = !parameters.has("iss") && !metadata.names_issuer_in_answers;
    if absent || parameters.only("iss").is_some_and(|issuer| metadata.is_issuer(issuer)) {
        return Ok(());
    }
    Err(Error::protocol(
        "the authorization answer of the provider that was asked",
        "the answer of another one",
    ))
}

fn ambiguous(has_error: bool, has_code: bool) -> Error {
    let received = match (has_error, has_code) {
        (true, true) => "both",
        (false, true) => "an empty or repeated code",
        _ => "neither",
    };
    Error::protocol("an authorization answer with either a code or an error", received)
}

/// Compares in time that depends only on the lengths.
fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests;
