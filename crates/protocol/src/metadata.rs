//! What a provider says about itself: OpenID Connect Discovery 1.0 §4.

use keybearer_core::{Authority, CorrelationId, Result, TenantId};
use url::Url;

use crate::Body;

/// Asks for the provider's configuration, OpenID Connect Discovery 1.0 §4.1.
///
/// # Errors
/// `InvalidRequest` on the field `authority` if its host cannot stand in an HTTP request.
pub fn request(
    authority: &Authority,
    correlation_id: &CorrelationId,
) -> Result<http::Request<Body>> {
    let _ = (authority, correlation_id);
    todo!()
}

/// Reads the answer, OpenID Connect Discovery 1.0 §4.2.
///
/// # Errors
/// `InvalidRequest` on the field `tenant_id` if there is no such directory, `Protocol` if the
/// answer is not a configuration or names endpoints outside the authority's cloud.
pub fn parse(authority: &Authority, response: &http::Response<Body>) -> Result<ProviderMetadata> {
    let _ = (authority, response);
    todo!()
}

/// A provider's configuration. Every URL in it is HTTPS and on a host of the authority's cloud.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProviderMetadata {
    /// Who issues tokens; may hold `{tenantid}` for the directory of whoever signs in.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: Url,
    /// Where tokens are issued.
    pub token_endpoint: Url,
    /// Where a sign-in on another device starts, RFC 8628 §4.
    pub device_authorization_endpoint: Option<Url>,
    /// Where the keys that sign id tokens are published.
    pub jwks_uri: Url,
    /// The directory's GUID, if this is the configuration of one directory.
    pub tenant: Option<TenantId>,
    /// Whether authorization answers carry `iss`, RFC 9207 §3.
    pub names_issuer_in_answers: bool,
}

impl ProviderMetadata {
    /// The issuer of tokens of this directory.
    #[must_use]
    pub fn issuer_for(&self, tenant: &TenantId) -> String {
        self.issuer.replace("{tenantid}", tenant.as_str())
    }
}
