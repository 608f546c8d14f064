//! The token endpoint: [RFC 6749](https://www.rfc-editor.org/rfc/rfc6749) §4.1.3, §5 and §6.

use std::collections::BTreeMap;
use std::time::Duration;

use keybearer_core::{
    AccessToken, AuthorizationCode, Claims, ClientId, CodeVerifier, CorrelationId, Error,
    HomeAccountId, IdToken, RefreshToken, Result, ScopeSet, Timestamp, TokenType,
};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::Body;
use crate::client_info::{self, ClientInfo};
use crate::device_code::DeviceCode;
use crate::error::date;
use crate::exchange::{Seconds, post, read, required};
use crate::metadata::ProviderMetadata;
use crate::parameters::{Parameters, redirect_uri, scope};

/// Requests tokens.
#[derive(Clone, Debug)]
pub struct TokenRequest<'a> {
    /// The provider's configuration.
    pub metadata: &'a ProviderMetadata,
    /// The app.
    pub client_id: &'a ClientId,
    /// The credential to exchange for tokens.
    pub grant: Grant<'a>,
    /// The requested scopes; the sign-in scopes are added.
    pub scopes: &'a ScopeSet,
    /// Claims request, already merged with the client's capabilities.
    pub claims: Option<&'a Claims>,
    /// The account, if known; the server routes the request by it (`X-AnchorMailbox`).
    pub account: Option<&'a HomeAccountId>,
    /// Further parameters.
    pub extra: &'a BTreeMap<String, String>,
    /// Identifies the operation.
    pub correlation_id: &'a CorrelationId,
}

/// The credential that a token request exchanges for tokens.
#[derive(Clone, Copy, Debug)]
pub enum Grant<'a> {
    /// The code of the authorization endpoint, RFC 6749 §4.1.3.
    AuthorizationCode {
        /// The code.
        code: &'a AuthorizationCode,
        /// Where the code arrived; the same text as in the authorization request.
        redirect_uri: &'a Url,
        /// The verifier of the request's challenge, RFC 7636 §4.5.
        verifier: &'a CodeVerifier,
    },
    /// A refresh token, RFC 6749 §6.
    RefreshToken(&'a RefreshToken),
    /// A device code, RFC 8628 §3.4.
    DeviceCode(&'a DeviceCode),
}

impl TokenRequest<'_> {
    /// Builds the request.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `extra_query` if it contains a reserved parameter.
    pub fn http(&self) -> Result<http::Request<Body>> {
        let grant = &self.grant;
        let mut parameters = Parameters::new([
            ("client_id", Some(self.client_id.as_str().into())),
            ("grant_type", Some(grant.grant_type().into())),
            (grant.secret().0, Some(grant.secret().1.into())),
            ("redirect_uri", grant.redirect_uri().map(Into::into)),
            ("code_verifier", grant.verifier().map(Into::into)),
            ("scope", Some(scope(self.scopes).into())),
            ("client_info", Some("1".into())),
            ("claims", self.claims.map(|claims| claims.as_str().into())),
        ]);
        parameters.extend(self.extra)?;
        post(&self.metadata.token_endpoint, &parameters, self.account, self.correlation_id)
    }
}

impl<'a> Grant<'a> {
    const fn grant_type(&self) -> &'static str {
        match self {
            Self::AuthorizationCode { .. } => "authorization_code",
            Self::RefreshToken(_) => "refresh_token",
            Self::DeviceCode(_) => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }

    /// The parameter that carries the credential.
    fn secret(&self) -> (&'static str, &'a str) {
        match self {
            Self::AuthorizationCode { code, .. } => ("code", code.expose()),
            Self::RefreshToken(token) => ("refresh_token", token.expose()),
            Self::DeviceCode(code) => ("device_code", code.expose()),
        }
    }

    fn redirect_uri(&self) -> Option<&'a str> {
        match self {
            Self::AuthorizationCode { redirect_uri: uri, .. } => Some(redirect_uri(uri)),
            Self::RefreshToken(_) | Self::DeviceCode(_) => None,
        }
    }

    fn verifier(&self) -> Option<&'a str> {
        match self {
            Self::AuthorizationCode { verifier, .. } => Some(verifier.expose()),
            Self::RefreshToken(_) | Self::DeviceCode(_) => None,
        }
    }
}

/// The response of the token endpoint, RFC 6749 §5.1.
#[derive(Debug)]
#[non_exhaustive]
pub struct TokenResponse {
    /// The access token.
    pub access_token: AccessToken,
    /// How to present it.
    pub token_type: TokenType,
    /// The lifetime of the access token, from its issue.
    pub expires_in: Duration,
    /// The lifetime while the provider has an outage, from its issue.
    pub ext_expires_in: Option<Duration>,
    /// When the access token should be renewed, from its issue.
    pub refresh_in: Option<Duration>,
    /// The successor of the redeemed refresh token, if there is one.
    pub refresh_token: Option<RefreshToken>,
    /// The id token, which must be checked with [`id_token::validate`](crate::id_token::validate).
    pub id_token: Option<IdToken>,
    /// The identity of the account across directories.
    pub client_info: Option<ClientInfo>,
    /// The granted scopes; empty if they equal the requested ones (RFC 6749 §5.1).
    pub granted: Vec<String>,
    /// The family of apps that may share the refresh token (`foci`).
    pub family: Option<String>,
    /// The time of the server's clock when it responded.
    pub date: Option<Timestamp>,
}

/// Reads the response.
///
/// # Errors
/// See [`error::from_response`](crate::error::from_response); `Protocol` naming the field if a
/// successful response lacks one or has an invalid one.
pub fn parse(response: &http::Response<Body>) -> Result<TokenResponse> {
    let wire: Wire = read(response, WHAT)?;
    Ok(TokenResponse {
        access_token: AccessToken::new(take(required(wire.access_token, "access_token", WHAT)?)?),
        token_type: token_type(&required(wire.token_type, "token_type", WHAT)?)?,
        expires_in: wire.expires_in.map_or(Ok(DEFAULT_LIFETIME), Seconds::duration)?,
        ext_expires_in: wire.ext_expires_in.map(Seconds::duration).transpose()?,
        refresh_in: wire.refresh_in.map(Seconds::duration).transpose()?,
        refresh_token: wire.refresh_token.map(take).transpose()?.map(RefreshToken::new),
        id_token: wire.id_token.map(take).transpose()?.map(IdToken::new),
        client_info: wire.client_info.as_deref().map(client_info::parse).transpose()?,
        granted: wire.scope.iter().flat_map(|s| s.split_whitespace()).map(Into::into).collect(),
        family: wire.foci,
        date: date(response),
    })
}

const WHAT: &str = "token request";

/// RFC 6749 §5.1 lets a server omit the lifetime; Microsoft's clients then assume an hour.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
struct Wire {
    access_token: Option<Zeroizing<String>>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
    ext_expires_in: Option<Seconds>,
    refresh_in: Option<Seconds>,
    refresh_token: Option<Zeroizing<String>>,
    id_token: Option<Zeroizing<String>>,
    client_info: Option<String>,
    scope: Option<String>,
    foci: Option<String>,
}

/// Moves a secret out without a copy; an empty secret is an error.
fn take(mut secret: Zeroizing<String>) -> Result<String> {
    if secret.is_empty() {
        return Err(Error::protocol("tokens in the answer to the token request", "an empty one"));
    }
    Ok(std::mem::take(&mut *secret))
}

fn token_type(text: &str) -> Result<TokenType> {
    match text.to_ascii_lowercase().as_str() {
        "bearer" => Ok(TokenType::Bearer),
        "pop" => Ok(TokenType::ProofOfPossession),
        _ => Err(Error::protocol("the token_type Bearer or pop", "another token_type")),
    }
}

#[cfg(test)]
mod tests;
