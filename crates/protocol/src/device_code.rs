//! Signing in on another device: RFC 8628.

use std::fmt;
use std::time::Duration;

use keybearer_core::{Claims, ClientId, CorrelationId, Result, ScopeSet};
use url::Url;
use zeroize::Zeroizing;

use crate::Body;
use crate::metadata::ProviderMetadata;
use crate::token::TokenResponse;

/// What the token endpoint is polled with, RFC 8628 §3.2. Wiped when dropped and never printed.
pub struct DeviceCode(Zeroizing<String>);

impl DeviceCode {
    /// The secret itself. The caller must not log it or put it into an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceCode")
    }
}

/// Starts a sign-in on another device, RFC 8628 §3.1.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct DeviceAuthorizationRequest<'a> {
    /// Who is asked.
    pub metadata: &'a ProviderMetadata,
    /// The app that asks.
    pub client_id: &'a ClientId,
    /// What for; the sign-in scopes are added.
    pub scopes: &'a ScopeSet,
    /// Claims request, already merged with the client's capabilities.
    pub claims: Option<&'a Claims>,
    /// The operation.
    pub correlation_id: &'a CorrelationId,
}

impl DeviceAuthorizationRequest<'_> {
    /// The request to send.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if the provider has no such endpoint.
    pub fn http(&self) -> Result<http::Request<Body>> {
        todo!()
    }
}

/// What to show to the person, and how to wait, RFC 8628 §3.2.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeviceAuthorization {
    /// What to poll with.
    pub device_code: DeviceCode,
    /// What the person types in.
    pub user_code: String,
    /// Where.
    pub verification_uri: Url,
    /// How long the codes are valid.
    pub expires_in: Duration,
    /// How long to wait between polls.
    pub interval: Duration,
}

/// Reads the answer.
///
/// # Errors
/// See [`error::from_response`](crate::error::from_response).
pub fn parse(response: &http::Response<Body>) -> Result<DeviceAuthorization> {
    let _ = response;
    todo!()
}

/// What a poll brought, RFC 8628 §3.5.
#[derive(Debug)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "the caller must decide about every case")]
pub enum Poll {
    /// The person has not finished.
    Pending,
    /// Neither, and every further wait is five seconds longer.
    SlowDown,
    /// The person signed in.
    Done(Box<TokenResponse>),
}

/// Reads the answer to a [`Grant::DeviceCode`](crate::token::Grant::DeviceCode).
///
/// # Errors
/// `Denied(Person)` if the person declined, `TimedOut` if the codes have expired, otherwise as
/// [`token::parse`](crate::token::parse).
pub fn poll(response: &http::Response<Body>) -> Result<Poll> {
    let _ = response;
    todo!()
}
