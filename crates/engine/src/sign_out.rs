use std::sync::Arc;

use keybearer_core::Result;

use crate::accounts::connected_accounts::ConnectedAccounts;
use crate::effects::Effects;
use crate::flights::{Flights, Ticket};
use crate::refresh::shared_token_cache::SharedTokenCache;
use crate::store::record_name::AccountKey;

/// The sign-outs under way.
pub(crate) struct SignOuts {
    accounts: Arc<ConnectedAccounts>,
    cache: Arc<SharedTokenCache>,
    flights: Flights<AccountKey, ()>,
}

impl SignOuts {
    pub(crate) fn new(
        effects: &Effects,
        accounts: Arc<ConnectedAccounts>,
        cache: Arc<SharedTokenCache>,
    ) -> Self {
        Self { accounts, cache, flights: Flights::new(Arc::clone(&effects.spawner)) }
    }

    /// How many sign-outs are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Starts to remove an account, and continues if the caller is gone: the write cannot be
    /// undone, and an account that is gone from the store must not stay in memory.
    pub(crate) fn start(&self, account: &AccountKey) -> Ticket<AccountKey, ()> {
        let (accounts, cache) = (Arc::clone(&self.accounts), Arc::clone(&self.cache));
        let owner = account.clone();
        let start = move |_| async move { forget(&accounts, &cache, &owner).await };
        self.flights.join(account, start)
    }
}

/// Removes an account from the store, and then from memory.
async fn forget(
    accounts: &ConnectedAccounts,
    cache: &SharedTokenCache,
    account: &AccountKey,
) -> Result<()> {
    let turn = accounts.turn().await;
    accounts.delete_records(&turn, account).await?;
    cache.remove_account(account);
    Ok(())
}
