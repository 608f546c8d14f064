use std::sync::{Arc, Mutex, MutexGuard};

use keybearer_core::Token;

use crate::accounts::connected_accounts::ConnectedAccounts;
use crate::accounts::registry::Registry;
use crate::effects::ClockReading;
use crate::effects::{Clock, Effects};
use crate::flights::lock;
use crate::refresh::cache_key::CacheKey;
use crate::refresh::request::RefreshRequest;
use crate::refresh::token_cache::{CachedToken, TokenCache};
use crate::store::record_name::AccountKey;

/// The token cache of the engine. It contains tokens of connected accounts only.
///
/// Lock order: the registry, then the cache.
pub(crate) struct SharedTokenCache {
    accounts: Arc<ConnectedAccounts>,
    clock: Arc<dyn Clock>,
    cache: Mutex<TokenCache>,
}

impl SharedTokenCache {
    pub(crate) fn new(effects: &Effects, accounts: Arc<ConnectedAccounts>) -> Self {
        Self { accounts, clock: Arc::clone(&effects.clock), cache: Mutex::default() }
    }

    /// A cached token that answers the request.
    pub(crate) fn find(&self, refresh: &RefreshRequest) -> Option<CachedToken> {
        let reading = self.reading();
        self.cache().find(&refresh.key, refresh.refused.as_ref(), reading)
    }

    /// Adds a token if its account is still connected, and returns whether it is.
    pub(crate) fn insert_if(
        &self,
        key: CacheKey,
        token: Token,
        is_connected: impl FnOnce(&Registry) -> bool,
    ) -> bool {
        let reading = self.reading();
        let registry = self.accounts.registry();
        let connected = is_connected(&registry);
        if connected {
            self.cache().insert(key, token, reading);
        }
        connected
    }

    /// As [`TokenCache::postpone_renewal`].
    pub(crate) fn postpone_renewal(&self, key: &CacheKey) {
        let reading = self.reading();
        self.cache().postpone_renewal(key, reading);
    }

    /// Removes an account and all its tokens from memory, in one step.
    pub(crate) fn remove_account(&self, account: &AccountKey) {
        let mut registry = self.accounts.registry();
        registry.remove(account);
        self.cache().remove_account(account);
    }

    fn cache(&self) -> MutexGuard<'_, TokenCache> {
        lock(&self.cache)
    }

    fn reading(&self) -> ClockReading {
        ClockReading::of(&*self.clock)
    }
}
