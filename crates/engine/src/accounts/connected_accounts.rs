use std::sync::{Arc, Mutex, MutexGuard};

use keybearer_core::{Account, ClientId, Result};

use crate::accounts::registry::Registry;
use crate::effects::{Clock, Effects};
use crate::flights::lock;
use crate::store::record_name::{AccountKey, RecordName};
use crate::store::records::StoredRefresh;
use crate::store::sealed_store::{RecordChange, SealedStore, StoreTurn, StoredRecord};

/// The connected accounts, in memory and in the store. A change is written to the store first.
pub(crate) struct ConnectedAccounts {
    store: SealedStore,
    clock: Arc<dyn Clock>,
    registry: Mutex<Registry>,
    unreadable_records: usize,
}

impl ConnectedAccounts {
    /// Opens the store of these effects and connects the accounts in it.
    ///
    /// # Errors
    /// Those of [`SealedStore::open`] and [`SealedStore::load`].
    pub(crate) async fn open(effects: &Effects) -> Result<Self> {
        let store = SealedStore::open(effects).await?;
        let mut registry = Registry::default();
        let unreadable_records = store.load(|record| restore(&mut registry, record)).await?;
        Ok(Self {
            store,
            clock: Arc::clone(&effects.clock),
            registry: Mutex::new(registry),
            unreadable_records,
        })
    }

    /// How many records could not be read when the store was opened.
    pub(crate) fn unreadable_records(&self) -> usize {
        self.unreadable_records
    }

    /// The accounts in memory.
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.registry)
    }

    /// As [`SealedStore::turn`].
    pub(crate) async fn turn(&self) -> StoreTurn<'_> {
        self.store.turn().await
    }

    /// Connects an account, with its refresh token for the app if the provider issued one.
    pub(crate) async fn connect(
        &self,
        account: Account,
        client: &ClientId,
        refresh: Option<StoredRefresh>,
    ) -> Result<()> {
        let turn = self.turn().await;
        let (key, now) = (AccountKey::of(&account), self.clock.now());
        let account = self.registry().listed(account);
        let mut changes = vec![RecordChange::Account(&account, now)];
        changes.extend(refresh.as_ref().map(|token| RecordChange::Refresh(&key, client, token)));
        turn.commit(&changes).await?;
        let mut registry = self.registry();
        registry.insert(account, now);
        if let Some(stored) = refresh {
            registry.set_refresh(&key, client.clone(), stored.family);
        }
        Ok(())
    }

    /// Deletes every record of an account. The caller then removes the account from memory, within
    /// the same turn.
    pub(crate) async fn delete_records(
        &self,
        turn: &StoreTurn<'_>,
        account: &AccountKey,
    ) -> Result<()> {
        let clients = self.registry().clients(account);
        let refresh = clients.into_iter().map(|id| RecordName::Refresh(account.clone(), id));
        let own = [RecordName::Account(account.clone()), RecordName::ProofKey(account.clone())];
        let changes: Vec<_> = own.into_iter().chain(refresh).map(RecordChange::Delete).collect();
        turn.commit(&changes).await
    }
}

fn restore(registry: &mut Registry, record: StoredRecord) {
    match record {
        StoredRecord::Account(account, signed_in) => registry.insert(*account, signed_in),
        StoredRecord::ProofKey(account, key) => registry.set_proof_key(&account, key),
        StoredRecord::Refresh(account, client, family) => {
            registry.set_refresh(&account, client, family);
        }
    }
}
