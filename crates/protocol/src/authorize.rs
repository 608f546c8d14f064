//! The authorization endpoint: RFC 6749 §4.1 with PKCE, and what comes back to the redirect URI.

use std::collections::BTreeMap;

use keybearer_core::{
    AuthorizationCode, Claims, ClientId, CorrelationId, Error, Prompt, Result, ScopeSet,
};
use url::Url;

use crate::RedirectParameters;
use crate::metadata::ProviderMetadata;

/// Asks a person to sign in, OpenID Connect Core §3.1.2.1.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct AuthorizationRequest<'a> {
    /// Who is asked.
    pub metadata: &'a ProviderMetadata,
    /// The app that asks.
    pub client_id: &'a ClientId,
    /// Where the answer goes.
    pub redirect_uri: &'a Url,
    /// How the answer travels.
    pub response_mode: ResponseMode,
    /// What for; the sign-in scopes are added.
    pub scopes: &'a ScopeSet,
    /// Ties the answer to this request.
    pub state: &'a str,
    /// Ties the id token to this request.
    pub nonce: &'a str,
    /// See [`pkce::challenge`](crate::pkce::challenge).
    pub challenge: &'a str,
    /// How insistently the person is asked.
    pub prompt: Prompt,
    /// Who is likely to sign in.
    pub login_hint: Option<&'a str>,
    /// Claims request, already merged with the client's capabilities.
    pub claims: Option<&'a Claims>,
    /// Further parameters, such as `domain_hint`.
    pub extra_query: &'a BTreeMap<String, String>,
    /// The operation.
    pub correlation_id: &'a CorrelationId,
}

/// How the answer travels from the browser to the redirect URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "the modes this crate can read")]
pub enum ResponseMode {
    /// In the body of a POST, so that the code does not land in the browser's history; for a
    /// loopback listener. OAuth 2.0 Form Post Response Mode §2.
    FormPost,
    /// In the query; for a window that watches for the redirect URI, and for pasting.
    Query,
}

impl AuthorizationRequest<'_> {
    /// The address to show to the person.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `extra_query` if it would replace a parameter of ours.
    pub fn url(&self) -> Result<Url> {
        todo!()
    }
}

/// What an authorization answer must agree with.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built field by field")]
pub struct Expected<'a> {
    /// The state of the request.
    pub state: &'a str,
    /// Who was asked.
    pub metadata: &'a ProviderMetadata,
}

/// What arrived at the redirect URI.
#[derive(Debug)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "the caller must decide about every case")]
pub enum Answer {
    /// The person signed in.
    Code(AuthorizationCode),
    /// The sign-in has failed.
    Refused(Error),
    /// It does not belong to the request; the right one may still come (invariant I9).
    NotOurs,
}

/// Reads what arrived, RFC 6749 §4.1.2 and RFC 9207 §2.4.
pub fn answer(parameters: &RedirectParameters, expected: &Expected<'_>) -> Answer {
    let _ = (parameters, expected);
    todo!()
}
