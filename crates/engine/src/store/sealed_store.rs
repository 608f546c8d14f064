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

/// Reads and writes the records of a [`TokenStore`], which are sealed there (invariant I4).
pub(crate) struct SealedStore {
    records: Arc<dyn TokenStore>,
    random: Arc<dyn Random>,
    vault: Vault,
    turn: Mutex<()>,
}

/// The content of a record, as read when the store is opened. A refresh token itself is not kept in
/// memory.
pub(crate) enum StoredRecord {
    /// An account, and the time of its last sign-in.
    Account(Box<Account>, Timestamp),
    /// The proof key of the account.
    ProofKey(AccountKey, ProofKey),
    /// The account has a refresh token for the app; the family of the token.
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
    /// A store over these effects, with the master key of the key store.
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

    /// Passes every record to `each`, in the order of their keys, so that an account comes before
    /// its refresh tokens. Returns how many records could not be read; they stay in the store.
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
                        tracing::warn!(%error, "could not read a stored record; its account must sign in again");
                        unreadable += 1;
                    }
                }
            }
            // A damaged store may return its keys out of order; the loop must end all the same.
            if last.is_none() || last <= after {
                return Ok(unreadable);
            }
            after = last;
        }
    }

    /// `None` for a kind of record that this version does not know.
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

    /// Waits until no other commit is under way. Other commits wait until the turn is dropped.
    pub(crate) async fn turn(&self) -> StoreTurn<'_> {
        StoreTurn { store: self, _guard: self.turn.lock().await }
    }
}

/// The exclusive right to write to the store. A commit needs one, and its caller takes it before
/// reading the state in memory that it writes: otherwise an older state could be written after a
/// newer one.
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
        let gone = || sign_in_needed("the refresh token is no longer in the store".to_owned());
        let record = record.ok_or_else(gone)?;
        let stored = self.store.vault.open(&record);
        stored.and_then(|plaintext| decode_refresh(&plaintext)).map_err(|error| {
            let message = "could not read the stored refresh token".to_owned();
            sign_in_needed(message).with_source(error)
        })
    }

    /// Writes all changes durably, or none of them (invariant I3).
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
