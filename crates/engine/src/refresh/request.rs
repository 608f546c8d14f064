use keybearer_core::{AccessToken, Account, Authority, CorrelationId, TokenParameters};
use keybearer_protocol::shr;

use crate::proof::Binding;
use crate::refresh::cache_key::CacheKey;

/// What a refresh must return. Owned, because a refresh can outlive its callers.
#[derive(Clone)]
pub(crate) struct RefreshRequest {
    pub(crate) key: CacheKey,
    /// With the tenant of the key.
    pub(crate) authority: Authority,
    /// The token that the resource refused; the answer must be another one.
    pub(crate) refused: Option<AccessToken>,
    pub(crate) correlation_id: CorrelationId,
}

impl RefreshRequest {
    /// The refresh that would answer a request for this account.
    pub(crate) fn new(parameters: &TokenParameters, account: &Account, binding: Binding) -> Self {
        let refused = parameters.access_token_to_renew.as_ref().map(|token| match &binding {
            // The resource refused a signed HTTP request with the token inside.
            Binding::OwnKey(_) => shr::token_inside(token).unwrap_or_else(|| token.clone()),
            Binding::Bearer | Binding::KeyOfApp(_) => token.clone(),
        });
        let key = CacheKey::new(parameters, account, binding);
        Self {
            authority: parameters.authority.with_tenant(key.tenant.clone()),
            key,
            refused,
            correlation_id: parameters.correlation_id.clone(),
        }
    }
}
