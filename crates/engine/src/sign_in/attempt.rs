use keybearer_core::{Claims, Error, InteractiveRequest, Result, Token, TokenSource};
use keybearer_protocol::Body;
use keybearer_protocol::metadata::ProviderMetadata;
use keybearer_protocol::token::{Grant, TokenRequest, TokenResponse};

use crate::proof::Binding;
use crate::provider::request_context::RequestContext;
use crate::refresh::cache_key::{CacheKey, nested_app_parameters};
use crate::sign_in::services::Services;
use crate::store::records::StoredRefresh;

/// What every step of an attempt to sign a person in needs.
pub(crate) struct Attempt<'a> {
    pub(crate) services: &'a Services,
    pub(crate) request: &'a InteractiveRequest,
    pub(crate) metadata: &'a ProviderMetadata,
}

impl Attempt<'_> {
    /// The claims of the request, merged with those that announce the app's capabilities.
    pub(crate) fn claims(&self) -> Option<Claims> {
        let parameters = &self.request.parameters;
        Claims::merge(parameters.claims.as_ref(), &parameters.capabilities)
    }

    /// The HTTP request that redeems a grant.
    pub(crate) fn token_request(&self, grant: Grant<'_>) -> Result<http::Request<Body>> {
        let parameters = &self.request.parameters;
        TokenRequest {
            metadata: self.metadata,
            client_id: &parameters.client_id,
            grant,
            scopes: &parameters.scopes,
            claims: self.claims().as_ref(),
            account: None,
            extra: &nested_app_parameters(&parameters.extra_query),
            correlation_id: &parameters.correlation_id,
        }
        .http()
    }

    /// Connects the account and stores its refresh token. Only then is the access token returned
    /// (invariant I3).
    pub(crate) async fn complete(
        &self,
        response: &TokenResponse,
        nonce: Option<&str>,
    ) -> Result<Token> {
        let (services, parameters) = (self.services, &self.request.parameters);
        let context = RequestContext {
            providers: &services.providers,
            authority: &parameters.authority,
            metadata: self.metadata,
            client_id: &parameters.client_id,
            scopes: &parameters.scopes,
            nonce,
            correlation_id: &parameters.correlation_id,
        };
        let account = context.identify(response).await?;
        let account = account.ok_or_else(|| Error::protocol("an id token", "none"))?;
        parameters.account.check_sign_in(&account)?;
        let refresh = response.refresh_token.clone();
        let refresh = refresh.map(|token| StoredRefresh::new(token, response.family.clone()));
        services.accounts.connect(account.clone(), &parameters.client_id, refresh).await?;
        let token = context.token(response, TokenSource::SignIn, account);
        let key = CacheKey::new(parameters, &token.account, Binding::Bearer);
        let owner = key.account.clone();
        services.cache.insert_if(key, token.clone(), |registry| registry.contains(&owner));
        Ok(token)
    }
}
