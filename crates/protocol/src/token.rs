//! The token endpoint: RFC 6749 §4.1.3, §5 and §6.

use std::collections::BTreeMap;
use std::time::Duration;

use keybearer_core::{
    AccessToken, AuthorizationCode, Claims, ClientId, CodeVerifier, CorrelationId, HomeAccountId,
    IdToken, RefreshToken, Result, ScopeSet, Timestamp, TokenType,
};
use url::Url;

use crate::Body;
use crate::client_info::ClientInfo;
use crate::device_code::DeviceCode;
use crate::metadata::ProviderMetadata;

/// Asks for tokens.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct TokenRequest<'a> {
    /// Who is asked.
    pub metadata: &'a ProviderMetadata,
    /// The app that asks.
    pub client_id: &'a ClientId,
    /// What the app shows for it.
    pub grant: Grant<'a>,
    /// What for; the sign-in scopes are added.
    pub scopes: &'a ScopeSet,
    /// Claims request, already merged with the client's capabilities.
    pub claims: Option<&'a Claims>,
    /// Whose tokens, if known: lets the server route the request (`X-AnchorMailbox`).
    pub account: Option<&'a HomeAccountId>,
    /// Further parameters.
    pub extra: &'a BTreeMap<String, String>,
    /// The operation.
    pub correlation_id: &'a CorrelationId,
}

/// What the app shows for the tokens it asks for.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "the grants this crate can send")]
pub enum Grant<'a> {
    /// The answer of the authorization endpoint, RFC 6749 §4.1.3.
    AuthorizationCode {
        /// The answer.
        code: &'a AuthorizationCode,
        /// Where it arrived; the same text as in the authorization request.
        redirect_uri: &'a Url,
        /// What the request's challenge was made of, RFC 7636 §4.5.
        verifier: &'a CodeVerifier,
    },
    /// A refresh token, RFC 6749 §6.
    RefreshToken(&'a RefreshToken),
    /// A device code, RFC 8628 §3.4.
    DeviceCode(&'a DeviceCode),
}

impl TokenRequest<'_> {
    /// The request to send.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `extra` if it would replace a parameter of ours.
    pub fn http(&self) -> Result<http::Request<Body>> {
        todo!()
    }
}

/// What the token endpoint issued, RFC 6749 §5.1.
#[derive(Debug)]
#[non_exhaustive]
pub struct TokenResponse {
    /// The token asked for.
    pub access_token: AccessToken,
    /// How to present it.
    pub token_type: TokenType,
    /// How long it is valid, from when it was issued.
    pub expires_in: Duration,
    /// How long it may be used while the provider is out of order.
    pub ext_expires_in: Option<Duration>,
    /// When it is worth renewing, from when it was issued.
    pub refresh_in: Option<Duration>,
    /// Replaces the refresh token that was shown, if any.
    pub refresh_token: Option<RefreshToken>,
    /// Who signed in; to be checked with [`id_token::validate`](crate::id_token::validate).
    pub id_token: Option<IdToken>,
    /// Who signed in, across directories.
    pub client_info: Option<ClientInfo>,
    /// The scopes granted; empty if they are exactly those asked for (RFC 6749 §5.1).
    pub granted: Vec<String>,
    /// The family of apps that may share the refresh token (`foci`).
    pub family: Option<String>,
    /// The server's clock.
    pub date: Option<Timestamp>,
}

/// Reads the answer.
///
/// # Errors
/// See [`error::from_response`](crate::error::from_response); `Protocol` naming the field if a
/// success lacks one or has an odd one.
pub fn parse(response: &http::Response<Body>) -> Result<TokenResponse> {
    let _ = response;
    todo!()
}
