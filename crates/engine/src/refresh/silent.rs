//! A token without the person: from the cache, else with a refresh token.

use std::collections::BTreeMap;
use std::sync::Arc;

use keybearer_core::{
    AccessToken, Account, AccountChoice, Authority, Claims, ClientId, CorrelationId, Error,
    ErrorKind, HomeAccountId, RefreshToken, Result, Tenant, TenantId, Token, TokenParameters,
    TokenSource,
};
use keybearer_protocol::metadata::ProviderMetadata;
use keybearer_protocol::shr;
use keybearer_protocol::token::{self, Grant, TokenRequest, TokenResponse};

use crate::accounts::registry::{AccountKey, Redemption};
use crate::engine::EngineState;
use crate::proof::check_binding;
use crate::provider::issue::{Issued, RequestContext};
use crate::provider::providers::exchange_again;
use crate::refresh::cache::{Binding, CacheKey, CachedToken};

/// What a refresh is for: everything that outlives the caller.
#[derive(Clone)]
pub(crate) struct Refresh {
    pub(crate) key: CacheKey,
    authority: Authority,
    /// What the resource refused; not good enough as an answer.
    refused: Option<AccessToken>,
    correlation_id: CorrelationId,
}

impl Refresh {
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

impl EngineState {
    /// The whole silent flow for a request whose authority is trusted.
    pub(crate) async fn silent(self: &Arc<Self>, parameters: &TokenParameters) -> Result<Token> {
        let environment = parameters.authority.host().environment();
        let account = self.state().registry.choose(environment, &parameters.account)?;
        self.silent_for(parameters, &account).await
    }

    /// The silent flow for one account.
    pub(crate) async fn silent_for(
        self: &Arc<Self>,
        parameters: &TokenParameters,
        account: &Account,
    ) -> Result<Token> {
        let proof = self.proof(parameters, account).await?;
        let refresh = Refresh::new(parameters, account, proof.binding.clone());
        let token = match self.cached(&refresh) {
            Some(CachedToken::Fresh(token)) => Token { source: TokenSource::Cache, ..token },
            Some(CachedToken::Renewable(token)) => {
                self.renew_in_background(refresh);
                Token { source: TokenSource::Cache, ..token }
            }
            None => self.refresh(refresh).await?,
        };
        proof.finish(self, token)
    }

    fn cached(&self, refresh: &Refresh) -> Option<CachedToken> {
        let moment = self.moment();
        self.state().cache.find(&refresh.key, refresh.refused.as_ref(), moment)
    }

    /// A caller with a valid token does not wait; whoever comes next finds the new one.
    fn renew_in_background(self: &Arc<Self>, refresh: Refresh) {
        if self.check_throttle(&refresh).is_ok() {
            tracing::debug!(correlation_id = %refresh.correlation_id, "renew in the background");
            let key = refresh.key.clone();
            let inner = Arc::clone(self);
            let start = move |_| async move {
                let result = inner.redeem(&refresh).await;
                if result.is_err() {
                    let moment = inner.moment();
                    inner.state().cache.postpone_renewal(&refresh.key, moment);
                }
                result
            };
            drop(self.refreshes.join(&*self.effects.spawner, &key, start));
        }
    }

    async fn refresh(self: &Arc<Self>, refresh: Refresh) -> Result<Token> {
        self.check_throttle(&refresh)?;
        let key = refresh.key.clone();
        let inner = Arc::clone(self);
        let start = move |_| async move { inner.redeem(&refresh).await };
        self.refreshes.join(&*self.effects.spawner, &key, start).landed().await
    }

    fn check_throttle(&self, refresh: &Refresh) -> Result<()> {
        let key = &refresh.key;
        let uptime = self.effects.clock.uptime();
        self.state().throttle.check(&key.account.environment, &key.client_id, uptime)
    }

    async fn redeem(&self, refresh: &Refresh) -> Result<Token> {
        let key = &refresh.key;
        // Another flight may have landed between the caller's look-up and the start of this one.
        if let Some(CachedToken::Fresh(token)) = self.cached(refresh) {
            return Ok(Token { source: TokenSource::Cache, ..token });
        }
        let result = self.redeem_newest(refresh).await;
        result.inspect_err(|error| self.note_busy(&key.account.environment, &key.client_id, error))
    }

    /// One refresh, from the stored refresh token to the stored successor.
    async fn redeem_newest(&self, refresh: &Refresh) -> Result<Token> {
        let key = &refresh.key;
        let id = &refresh.correlation_id;
        let metadata = self.providers.metadata(&self.effects, &refresh.authority, id).await?;
        // Fetched first: once the refresh token has rotated, nothing must keep us from reading the
        // answer.
        self.providers.keys(&self.effects, &metadata, id).await?;
        let redemption = self.start_redemption(&key.account, &key.client_id).await?;
        let result = self.redeem_started(refresh, &metadata, &redemption).await;
        if result.as_ref().is_err_and(is_of_another_app) {
            self.state().registry.mark_not_in_family(&key.client_id);
        }
        let successor = match &result {
            Ok((response, _)) => response.refresh_token.clone(),
            Err(_) => None,
        };
        let rotated = successor.is_some();
        let connected = self.state().registry.land(&key.account, &redemption, successor);
        let (_, token) = result?;
        if !connected {
            return Err(account_removed());
        }
        if rotated {
            // The successor is durable before the token leaves (promise I3).
            self.persist(&key.account, &redemption.token_owner).await?;
        }
        let moment = self.moment();
        let mut state = self.state();
        if !state.registry.is_connected(&key.account, &redemption) {
            return Err(account_removed());
        }
        state.cache.insert(key.clone(), token.clone(), moment);
        Ok(token)
    }

    async fn redeem_started(
        &self,
        refresh: &Refresh,
        metadata: &ProviderMetadata,
        redemption: &Redemption,
    ) -> Result<(TokenResponse, Token)> {
        let response = self.send_refresh(refresh, metadata, redemption).await?;
        let asked = RequestContext {
            authority: &refresh.authority,
            metadata,
            client_id: &refresh.key.client_id,
            scopes: &refresh.key.scopes,
            nonce: None,
            correlation_id: &refresh.correlation_id,
        };
        let account = self.identify(&asked, &response).await?;
        let account = account.unwrap_or_else(|| redemption.account.clone());
        AccountChoice::Exact(redemption.account.home_account_id.clone()).check_sign_in(&account)?;
        let issued = Issued { asked: &asked, response: &response, source: TokenSource::Refresh };
        let token = self.token(issued, account);
        Ok((response, token))
    }

    /// Sends the refresh token. If the provider refuses the newest one, the one before it gets a
    /// chance.
    async fn send_refresh(
        &self,
        refresh: &Refresh,
        metadata: &ProviderMetadata,
        redemption: &Redemption,
    ) -> Result<TokenResponse> {
        let home = &redemption.account.home_account_id;
        let send = |token| self.send_token_request(refresh, metadata, token, home);
        match send(&redemption.refresh_token).await {
            Err(error) if is_refused(&error) => match &redemption.previous {
                Some(previous) => send(previous).await.map_err(|_| error),
                None => Err(error),
            },
            result => result,
        }
    }

    async fn send_token_request(
        &self,
        refresh: &Refresh,
        metadata: &ProviderMetadata,
        refresh_token: &RefreshToken,
        home_account_id: &HomeAccountId,
    ) -> Result<TokenResponse> {
        let key = &refresh.key;
        let claims = Claims::merge(key.claims.as_ref(), &key.capabilities);
        let mut extra = key.binding.parameters();
        extra.extend(key.nested.clone());
        let request = || {
            TokenRequest {
                metadata,
                client_id: &key.client_id,
                grant: Grant::RefreshToken(refresh_token),
                scopes: &key.scopes,
                claims: claims.as_ref(),
                account: Some(home_account_id),
                extra: &extra,
                correlation_id: &refresh.correlation_id,
            }
            .http()
        };
        let response = token::parse(&exchange_again(&self.effects, request).await?)?;
        check_binding(&key.binding, response.token_type)?;
        Ok(response)
    }

    /// Nobody asks again before the time the provider named, in whichever answer.
    pub(crate) fn note_busy(&self, environment: &str, client_id: &ClientId, error: &Error) {
        if let ErrorKind::Transient { retry_after: Some(wait) } = error.kind() {
            let uptime = self.effects.clock.uptime();
            self.state().throttle.note(environment, client_id, *wait, uptime);
        }
    }
}

pub(crate) fn account_removed() -> Error {
    Error::interaction_required("the account was account_removed in the meantime")
}

/// The app is in no family with the app that the refresh token was issued to.
fn is_of_another_app(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InteractionRequired { suberror, .. } if suberror.as_deref() == Some("client_mismatch")
    )
}

/// The token itself is no good, as opposed to a person being needed for another reason.
fn is_refused(error: &Error) -> bool {
    error.context().oauth_error.as_deref() == Some("invalid_grant")
        && matches!(
            error.kind(),
            ErrorKind::InteractionRequired { claims: None, suberror } if suberror.as_deref().is_none_or(|s| s == "bad_token")
        )
}
