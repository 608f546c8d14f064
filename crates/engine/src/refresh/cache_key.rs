use std::collections::BTreeMap;

use keybearer_core::{
    Account, Capabilities, Claims, ClientId, ScopeSet, Tenant, TenantId, TokenParameters,
};

use crate::proof::Binding;
use crate::store::record_name::AccountKey;

/// Everything that makes one access token different from another: requests with equal keys share
/// cached tokens and refreshes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct CacheKey {
    /// The account and the cloud it belongs to.
    pub(crate) account: AccountKey,
    pub(crate) client_id: ClientId,
    pub(crate) tenant: Tenant,
    pub(crate) scopes: ScopeSet,
    pub(crate) claims: Option<Claims>,
    pub(crate) capabilities: Capabilities,
    pub(crate) binding: Binding,
    /// Parameters of nested app authentication, which the provider reads at every step.
    pub(crate) nested: BTreeMap<String, String>,
}

impl CacheKey {
    /// The key of the token that answers a request for `account`, bound as `binding` says.
    pub(crate) fn new(parameters: &TokenParameters, account: &Account, binding: Binding) -> Self {
        // Without `..`, so that the compiler asks whether a new parameter makes another token: one
        // that is forgotten here would let a request get the token of a different request.
        let TokenParameters {
            authority,
            client_id,
            redirect_uri: _, // only sign-ins use it
            scopes,
            account: _, // the choice has become `account`
            claims,
            capabilities,
            access_token_to_renew: _, // compared with the token that is found
            proof_of_possession: _,   // has become `binding`
            extra_query,
            correlation_id: _, // for the logs
            timeout: _,        // each caller waits for itself
            caller: _,         // all programs of the user share tokens
        } = parameters;
        Self {
            account: AccountKey::of(account),
            client_id: client_id.clone(),
            tenant: resolve_tenant(authority.tenant(), account),
            scopes: scopes.clone(),
            claims: claims.clone(),
            capabilities: capabilities.clone(),
            binding,
            nested: nested_app_parameters(extra_query),
        }
    }
}

/// What an app inside another app adds to every request: `brk_client_id`, `brk_redirect_uri`. The
/// other extra parameters are for the authorization endpoint only.
pub(crate) fn nested_app_parameters(
    extra_query: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let nested = extra_query.iter().filter(|(name, _)| name.starts_with("brk_"));
    nested.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An authority for many directories means the account's home directory.
fn resolve_tenant(requested: &Tenant, account: &Account) -> Tenant {
    let home = || TenantId::parse(account.home_account_id.utid()).map(Tenant::Id);
    match requested {
        Tenant::Id(_) => requested.clone(),
        Tenant::Common | Tenant::Organizations | Tenant::Consumers => {
            home().unwrap_or_else(|_| requested.clone())
        }
    }
}
