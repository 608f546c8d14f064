use std::collections::BTreeMap;

use keybearer_core::{
    AccessToken, Account, Authority, CorrelationId, Tenant, TenantId, TokenParameters,
};
use keybearer_protocol::shr;

use crate::proof::Binding;
use crate::refresh::cache::CacheKey;
use crate::store::record_name::AccountKey;

/// What a refresh is for: everything that outlives the caller.
#[derive(Clone)]
pub(crate) struct RefreshRequest {
    pub(crate) key: CacheKey,
    pub(crate) authority: Authority,
    /// What the resource refused; not good enough as an answer.
    pub(crate) refused: Option<AccessToken>,
    pub(crate) correlation_id: CorrelationId,
}

impl RefreshRequest {
    /// The refresh that would answer a request for this account.
    pub(crate) fn new(parameters: &TokenParameters, account: &Account, binding: Binding) -> Self {
        let tenant = resolve_tenant(parameters.authority.tenant(), account);
        let refused = parameters.access_token_to_renew.as_ref().map(|token| match &binding {
            // What was handed out, and refused, is a signature with the token inside.
            Binding::OwnKey(_) => shr::token_inside(token).unwrap_or_else(|| token.clone()),
            Binding::Bearer | Binding::KeyOfApp(_) => token.clone(),
        });
        Self {
            key: CacheKey {
                account: AccountKey::of(account),
                client_id: parameters.client_id.clone(),
                tenant: tenant.clone(),
                scopes: parameters.scopes.clone(),
                claims: parameters.claims.clone(),
                capabilities: parameters.capabilities.clone(),
                binding,
                nested: nested(parameters),
            },
            authority: parameters.authority.with_tenant(tenant),
            refused,
            correlation_id: parameters.correlation_id.clone(),
        }
    }
}

/// An app inside another says so in the token request, too: `brk_client_id`, `brk_redirect_uri`.
pub(crate) fn nested(parameters: &TokenParameters) -> BTreeMap<String, String> {
    let extra = parameters.extra_query.iter();
    let nested = extra.filter(|(name, _)| name.starts_with("brk_"));
    nested.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An authority for many directories means the account's home directory.
fn resolve_tenant(asked: &Tenant, account: &Account) -> Tenant {
    let home = || TenantId::parse(account.home_account_id.utid()).map(Tenant::Id);
    match asked {
        Tenant::Id(_) => asked.clone(),
        Tenant::Common | Tenant::Organizations | Tenant::Consumers => {
            home().unwrap_or_else(|_| asked.clone())
        }
    }
}
