use std::sync::Arc;

use keybearer_core::{Account, ClientId, Result, Timestamp};
use keybearer_protocol::shr::ProofKey;
use tokio::sync::{Mutex, MutexGuard};

use crate::effects::{Change, Effects, Random, Record, TokenStore};
use crate::errors::sign_in_needed;
use crate::store::record_name::{AccountKey, RecordName};
use crate::store::records::{
    StoredRefresh, decode_account, decode_refresh, encode_account, encode_refresh,
};
use crate::store::vault::Vault;

/// The records of the token store, in plain text on this side and sealed on the other (invariant
/// I4).
pub(crate) struct SealedStore {
    records: Arc<dyn TokenStore>,
    random: Arc<dyn Random>,
    vault: Vault,
    turn: Mutex<()>,
}

/// What is read from a record at the start. A refresh token itself stays in the store.
pub(crate) enum StoredRecord {
    /// An account, and when it signed in last.
    Account(Box<Account>, Timestamp),
    /// The key that tokens of the account may be bound to.
    ProofKey(AccountKey, ProofKey),
    /// That the account has a refresh token for the app, and the token's family.
    Refresh(AccountKey, ClientId, Option<String>),
}

/// One change of a commit, before it is sealed.
pub(crate) enum RecordChange<'a> {
    Account(&'a Account, Timestamp),
    ProofKey(&'a AccountKey, &'a ProofKey),
    Refresh(&'a AccountKey, &'a ClientId, &'a StoredRefresh),
    Delete(RecordName),
}

impl SealedStore {
    /// Opens the store of these effects.
    ///
    /// # Errors
    /// Those of [`KeyStore::master_key`](crate::KeyStore::master_key).
    pub(crate) async fn open(effects: &Effects) -> Result<Self> {
        Ok(Self {
            records: Arc::clone(&effects.store),
            random: Arc::clone(&effects.random),
            vault: Vault::new(&effects.keys.master_key().await?),
            turn: Mutex::default(),
        })
    }

    /// Reads every record, in the order of their keys: an account comes before its refresh tokens,
    /// which are useless without it. Returns how many records could not be read.
    ///
    /// # Errors
    /// Those of [`TokenStore::load`].
    pub(crate) async fn load(&self, mut each: impl FnMut(StoredRecord)) -> Result<usize> {
        let mut unreadable = 0;
        let mut after = None;
        loop {
            let page = self.records.load(after.as_ref()).await?;
            let last = page.last().map(|record| record.key.clone());
            for record in page {
                match self.decode(&record) {
                    Ok(Some(stored)) => each(stored),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(%error, "a stored record cannot be read; its account has to sign in again");
                        unreadable += 1;
                    }
                }
            }
            // A damaged store may return keys out of order, which must not keep this loop running.
            if last.is_none() || last <= after {
                return Ok(unreadable);
            }
            after = last;
        }
    }

    /// `None` for a record that this version does not know.
    fn decode(&self, record: &Record) -> Result<Option<StoredRecord>> {
        let plaintext = self.vault.open(record)?;
        Ok(Some(match RecordName::parse(&record.key) {
            Some(RecordName::Account(key)) => {
                let (account, signed_in) = decode_account(&key, &plaintext)?;
                StoredRecord::Account(Box::new(account), signed_in)
            }
            Some(RecordName::ProofKey(key)) => {
                StoredRecord::ProofKey(key, ProofKey::from_pkcs8(&plaintext)?)
            }
            Some(RecordName::Refresh(key, client)) => {
                StoredRecord::Refresh(key, client, decode_refresh(&plaintext)?.family)
            }
            None => return Ok(None),
        }))
    }

    /// Waits until no other commit is under way, and holds further ones back.
    pub(crate) async fn turn(&self) -> StoreTurn<'_> {
        StoreTurn { store: self, _guard: self.turn.lock().await }
    }
}

/// The sole right to change the store. It is held from reading what is in memory to the end of the
/// commit, so that commits are in order; no commit is possible without it.
pub(crate) struct StoreTurn<'a> {
    store: &'a SealedStore,
    _guard: MutexGuard<'a, ()>,
}

impl StoreTurn<'_> {
    /// The refresh token of an account for an app.
    ///
    /// # Errors
    /// Those of [`TokenStore::read`]; `InteractionRequired` if the record is missing or damaged.
    pub(crate) async fn read_refresh(
        &self,
        account: &AccountKey,
        client: &ClientId,
    ) -> Result<StoredRefresh> {
        let name = RecordName::Refresh(account.clone(), client.clone());
        let record = self.store.records.read(&name.key()).await?;
        let gone = || sign_in_needed("the refresh token is gone from the store".to_owned());
        let record = record.ok_or_else(gone)?;
        let stored = self.store.vault.open(&record);
        stored.and_then(|plaintext| decode_refresh(&plaintext)).map_err(|error| {
            let message = "the stored refresh token cannot be read any more".to_owned();
            sign_in_needed(message).with_source(error)
        })
    }

    /// Makes all changes durable, or none (invariant I3).
    ///
    /// # Errors
    /// Those of [`TokenStore::commit`]; `Internal` if a record could not be sealed.
    pub(crate) async fn commit(&self, changes: &[RecordChange<'_>]) -> Result<()> {
        let sealed = changes.iter().map(|change| self.seal(change)).collect::<Result<_>>()?;
        self.store.records.commit(sealed).await
    }

    fn seal(&self, change: &RecordChange<'_>) -> Result<Change> {
        let (name, plaintext) = match change {
            RecordChange::Account(account, signed_in) => {
                (RecordName::Account(AccountKey::of(account)), encode_account(account, *signed_in)?)
            }
            RecordChange::ProofKey(account, key) => {
                (RecordName::ProofKey((*account).clone()), key.to_pkcs8()?)
            }
            RecordChange::Refresh(account, client, stored) => {
                let name = RecordName::Refresh((*account).clone(), (*client).clone());
                (name, encode_refresh(stored)?)
            }
            RecordChange::Delete(name) => return Ok(Change::Delete(name.key())),
        };
        let vault = &self.store.vault;
        vault.seal(&*self.store.random, name.key(), &plaintext).map(Change::Put)
    }
}
