//! Redeems a stored refresh token for an access token and a stored successor.

use std::sync::Arc;

use keybearer_core::{
    AccountChoice, Claims, ClientId, Error, ErrorKind, HomeAccountId, RefreshToken, Result, Token,
    TokenSource,
};
use keybearer_protocol::metadata::ProviderMetadata;
use keybearer_protocol::token::{self, Grant, TokenRequest, TokenResponse};

use crate::accounts::connected_accounts::ConnectedAccounts;
use crate::accounts::family_refresh_tokens::FamilyRefreshTokens;
use crate::accounts::refresh_entry::RefreshEntry;
use crate::accounts::registry::{Redemption, Registry};
use crate::errors::account_removed;
use crate::proof::check_binding;
use crate::provider::providers::Providers;
use crate::provider::request_context::RequestContext;
use crate::refresh::request::RefreshRequest;
use crate::refresh::shared_token_cache::SharedTokenCache;
use crate::refresh::token_cache::CachedToken;
use crate::store::record_name::{AccountKey, RecordName};
use crate::store::sealed_store::RecordChange;

/// Redeems the refresh tokens of the connected accounts.
pub(crate) struct Redeemer {
    pub(crate) accounts: Arc<ConnectedAccounts>,
    pub(crate) providers: Arc<Providers>,
    pub(crate) cache: Arc<SharedTokenCache>,
    pub(crate) families: FamilyRefreshTokens,
}

impl Redeemer {
    /// A new token for this request.
    pub(crate) async fn redeem(&self, refresh: &RefreshRequest) -> Result<Token> {
        let key = &refresh.key;
        // Another flight may have landed between the caller's lookup and the start of this one.
        if let Some(CachedToken::Fresh(token)) = self.cache.find(refresh) {
            return Ok(Token { source: TokenSource::Cache, ..token });
        }
        let result = self.redeem_newest(refresh).await;
        result.inspect_err(|error| {
            self.providers.note_busy(&key.account.environment, &key.client_id, error);
        })
    }

    /// Redeems the newest refresh token that may be used, and stores its successor.
    async fn redeem_newest(&self, refresh: &RefreshRequest) -> Result<Token> {
        let key = &refresh.key;
        let id = &refresh.correlation_id;
        let metadata = self.providers.metadata(&refresh.authority, id).await?;
        // Fetched first: once the refresh token has rotated, a failure to fetch the keys must not
        // keep the engine from reading the response.
        self.providers.keys(&metadata, id).await?;
        let redemption = self.start_redemption(&key.account, &key.client_id).await?;
        let result = self.redeem_started(refresh, &metadata, &redemption).await;
        if result.as_ref().is_err_and(is_not_in_family) {
            self.accounts.registry().mark_not_in_family(&key.client_id);
        }
        let successor = match &result {
            Ok((response, _)) => response.refresh_token.clone(),
            Err(_) => None,
        };
        let rotated = successor.is_some();
        let connected =
            self.accounts.registry().finish_redemption(&key.account, &redemption, successor);
        let (_, token) = result?;
        if !connected {
            return Err(account_removed());
        }
        if rotated {
            // Invariant I3: the successor is durable before the caller gets the access token.
            self.persist(&key.account, &redemption.token_owner).await?;
        }
        let is_connected = |registry: &Registry| registry.is_connected(&key.account, &redemption);
        match self.cache.insert_if(key.clone(), token.clone(), is_connected) {
            true => Ok(token),
            false => Err(account_removed()),
        }
    }

    /// Starts to redeem the refresh token that a request of `client` uses. Reads it from the store
    /// unless it is being redeemed already.
    async fn start_redemption(
        &self,
        account: &AccountKey,
        client: &ClientId,
    ) -> Result<Redemption> {
        {
            let mut registry = self.accounts.registry();
            let token_owner = registry.token_owner(account, client, self.families)?;
            if let Some(redemption) = registry.start_redemption(account, &token_owner) {
                return Ok(redemption);
            }
        }
        // No commit can change the store between this read and the start of the redemption.
        let turn = self.accounts.turn().await;
        let token_owner = self.accounts.registry().token_owner(account, client, self.families)?;
        let stored = turn.read_refresh(account, &token_owner).await?;
        let mut registry = self.accounts.registry();
        registry.load_from_store(account, &token_owner, stored);
        let redemption = registry.start_redemption(account, &token_owner);
        redemption.ok_or_else(|| Error::internal("could not find a refresh token to redeem"))
    }

    async fn redeem_started(
        &self,
        refresh: &RefreshRequest,
        metadata: &ProviderMetadata,
        redemption: &Redemption,
    ) -> Result<(TokenResponse, Token)> {
        let response = self.send_refresh(refresh, metadata, redemption).await?;
        let context = RequestContext {
            providers: &self.providers,
            authority: &refresh.authority,
            metadata,
            client_id: &refresh.key.client_id,
            scopes: &refresh.key.scopes,
            nonce: None,
            correlation_id: &refresh.correlation_id,
        };
        let account = context.identify(&response).await?;
        let account = account.unwrap_or_else(|| redemption.account.clone());
        AccountChoice::Exact(redemption.account.home_account_id.clone()).check_sign_in(&account)?;
        let token = context.token(&response, TokenSource::Refresh, account);
        Ok((response, token))
    }

    /// Sends the refresh token, and its predecessor if the provider refuses the token itself.
    async fn send_refresh(
        &self,
        refresh: &RefreshRequest,
        metadata: &ProviderMetadata,
        redemption: &Redemption,
    ) -> Result<TokenResponse> {
        let home = &redemption.account.home_account_id;
        let send = |token| self.send_token_request(refresh, metadata, token, home);
        match send(&redemption.refresh_token).await {
            Err(error) if is_token_refused(&error) => match &redemption.previous {
                Some(previous) => send(previous).await.map_err(|_| error),
                None => Err(error),
            },
            result => result,
        }
    }

    async fn send_token_request(
        &self,
        refresh: &RefreshRequest,
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
        let response = token::parse(&self.providers.transport.exchange_with_retry(request).await?)?;
        check_binding(&key.binding, response.token_type)?;
        Ok(response)
    }

    /// Writes the newest refresh token of an account for an app to the store, or its absence. Only
    /// then may the token be redeemed (invariant I3).
    async fn persist(&self, account: &AccountKey, client: &ClientId) -> Result<()> {
        let turn = self.accounts.turn().await;
        let known = {
            let registry = self.accounts.registry();
            registry.refresh_entry(account, client).map(RefreshEntry::pending_write)
        };
        let pending_write = match known {
            // Another flight has written it.
            Some(None) => return Ok(()),
            known => known.flatten(),
        };
        let change = match &pending_write {
            Some(stored) => RecordChange::Refresh(account, client, stored),
            None => RecordChange::Delete(RecordName::Refresh(account.clone(), client.clone())),
        };
        turn.commit(&[change]).await?;
        if let Some(stored) = pending_write {
            self.accounts.registry().set_durable(account, client, &stored.current);
        }
        Ok(())
    }
}

/// The app is not in the family of the app that the refresh token was issued to.
fn is_not_in_family(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::InteractionRequired { suberror, .. } => {
            suberror.as_deref() == Some("client_mismatch")
        }
        _ => false,
    }
}

/// The provider refused the token itself, and does not need a person for another reason.
fn is_token_refused(error: &Error) -> bool {
    error.context().oauth_error.as_deref() == Some("invalid_grant")
        && matches!(
            error.kind(),
            ErrorKind::InteractionRequired { claims: None, suberror } if suberror.as_deref().is_none_or(|s| s == "bad_token")
        )
}
