//! The silent flow: a token from the cache, or with a refresh token.

use std::sync::Arc;

use keybearer_core::{Account, Result, Token, TokenParameters, TokenSource};

use crate::effects::Effects;
use crate::flights::Flights;
use crate::proof::ProofKeys;
use crate::refresh::cache_key::CacheKey;
use crate::refresh::redeemer::Redeemer;
use crate::refresh::request::RefreshRequest;
use crate::refresh::token_cache::CachedToken;

/// Tokens without a person. Concurrent requests for the same token share one refresh.
pub(crate) struct SilentTokens {
    redeemer: Arc<Redeemer>,
    proof_keys: Arc<ProofKeys>,
    flights: Flights<CacheKey, Token>,
}

impl SilentTokens {
    pub(crate) fn new(effects: &Effects, redeemer: Redeemer, proof_keys: Arc<ProofKeys>) -> Self {
        let flights = Flights::new(Arc::clone(&effects.spawner));
        Self { redeemer: Arc::new(redeemer), proof_keys, flights }
    }

    /// How many refreshes are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// A token for a request whose authority is trusted.
    pub(crate) async fn token(&self, parameters: &TokenParameters) -> Result<Token> {
        let environment = parameters.authority.host().environment();
        let account = self.redeemer.accounts.registry().choose(environment, &parameters.account)?;
        self.token_for(parameters, &account).await
    }

    /// A token of one account.
    pub(crate) async fn token_for(
        &self,
        parameters: &TokenParameters,
        account: &Account,
    ) -> Result<Token> {
        let proof = self.proof_keys.proof(parameters, account).await?;
        let refresh = RefreshRequest::new(parameters, account, proof.binding.clone());
        let token = match self.redeemer.cache.find(&refresh) {
            Some(CachedToken::Fresh(token)) => Token { source: TokenSource::Cache, ..token },
            Some(CachedToken::Renewable(token)) => {
                self.renew_in_background(refresh);
                Token { source: TokenSource::Cache, ..token }
            }
            None => self.refresh(refresh).await?,
        };
        self.proof_keys.finish(&proof, token)
    }

    /// Starts a refresh. The caller has a valid token and does not wait for it.
    fn renew_in_background(&self, refresh: RefreshRequest) {
        if self.check_throttle(&refresh).is_ok() {
            let id = &refresh.correlation_id;
            tracing::debug!(correlation_id = %id, "renewing the token in the background");
            let key = refresh.key.clone();
            let redeemer = Arc::clone(&self.redeemer);
            let start = move |_| async move {
                let result = redeemer.redeem(&refresh).await;
                if result.is_err() {
                    redeemer.cache.postpone_renewal(&refresh.key);
                }
                result
            };
            drop(self.flights.join(&key, start));
        }
    }

    async fn refresh(&self, refresh: RefreshRequest) -> Result<Token> {
        self.check_throttle(&refresh)?;
        let key = refresh.key.clone();
        let redeemer = Arc::clone(&self.redeemer);
        let start = move |_| async move { redeemer.redeem(&refresh).await };
        self.flights.join(&key, start).landed().await
    }

    fn check_throttle(&self, refresh: &RefreshRequest) -> Result<()> {
        let key = &refresh.key;
        self.redeemer.providers.check_throttle(&key.account.environment, &key.client_id)
    }
}
