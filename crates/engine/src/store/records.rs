//! The content of records. An account has one record, one for each app that it has a refresh token
//! for, and one for its proof key. This is the only module of the engine that serialises a refresh
//! token; the vault seals the result at once.

use keybearer_core::{Account, Error, RefreshToken, Result, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::record_name::AccountKey;

/// The record of a refresh token.
pub(crate) struct StoredRefresh {
    /// The newest token.
    pub(crate) current: RefreshToken,
    /// The token before it, kept until the newest has been redeemed once.
    pub(crate) previous: Option<RefreshToken>,
    /// The family of apps that may redeem the token, if the provider named one.
    pub(crate) family: Option<String>,
}

impl StoredRefresh {
    /// A token from a sign-in, which has not been redeemed yet.
    pub(crate) fn new(token: RefreshToken, family: Option<String>) -> Self {
        Self { current: token, previous: None, family }
    }
}

#[derive(Serialize, Deserialize)]
struct AccountRecord {
    realm: String,
    local_account_id: String,
    username: String,
    name: Option<String>,
    signed_in_ms: i64,
}

pub(super) fn encode_account(account: &Account, signed_in: Timestamp) -> Result<Plaintext> {
    encode(&AccountRecord {
        realm: account.realm.to_string(),
        local_account_id: account.local_account_id.clone(),
        username: account.username.clone(),
        name: account.name.clone(),
        signed_in_ms: signed_in.unix_millis(),
    })
}

pub(super) fn decode_account(key: &AccountKey, plaintext: &[u8]) -> Result<(Account, Timestamp)> {
    let record: AccountRecord = decode(plaintext)?;
    let account = Account {
        home_account_id: key.home_account_id.clone(),
        environment: key.environment.clone(),
        realm: TenantId::parse(&record.realm)?,
        local_account_id: record.local_account_id,
        username: record.username,
        name: record.name,
    };
    Ok((account, Timestamp::from_unix_millis(record.signed_in_ms)))
}

#[derive(Serialize, Deserialize)]
struct RefreshRecord {
    current: Zeroizing<String>,
    previous: Option<Zeroizing<String>>,
    family: Option<String>,
}

pub(super) fn encode_refresh(stored: &StoredRefresh) -> Result<Plaintext> {
    let copy = |token: &RefreshToken| Zeroizing::new(token.expose().to_owned());
    encode(&RefreshRecord {
        current: copy(&stored.current),
        previous: stored.previous.as_ref().map(copy),
        family: stored.family.clone(),
    })
}

pub(super) fn decode_refresh(plaintext: &[u8]) -> Result<StoredRefresh> {
    let record: RefreshRecord = decode(plaintext)?;
    let token = |text: &Zeroizing<String>| RefreshToken::new(text.to_string());
    Ok(StoredRefresh {
        current: token(&record.current),
        previous: record.previous.as_ref().map(token),
        family: record.family,
    })
}

/// A serialised record, before it is sealed. Wiped when dropped.
pub(super) type Plaintext = Zeroizing<Vec<u8>>;

fn encode<T: Serialize>(record: &T) -> Result<Plaintext> {
    // Allocated in full first: a vector that grows leaves unwiped copies behind.
    let mut length = Counter(0);
    serde_json::to_writer(&mut length, record).map_err(serialise_error)?;
    let mut plaintext = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *plaintext, record).map_err(serialise_error)?;
    Ok(plaintext)
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn serialise_error(error: serde_json::Error) -> Error {
    Error::internal("could not serialise a record").with_source(error)
}

/// Reads a record. The error has no source, because a JSON error may quote the content.
fn decode<'a, T: Deserialize<'a>>(plaintext: &'a [u8]) -> Result<T> {
    serde_json::from_slice(plaintext)
        .map_err(|_| Error::internal("a stored record does not have the expected content"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refresh_tokens_survive_the_way_through_the_store() {
        let token = |text: &str| RefreshToken::new(text.into());
        let previous = Some(token("old"));
        let stored = StoredRefresh { current: token("new"), previous, family: Some("1".into()) };
        let back = decode_refresh(&encode_refresh(&stored).unwrap()).unwrap();
        assert_eq!(back.current.expose(), "new");
        assert_eq!(back.previous.unwrap().expose(), "old");
        assert_eq!(back.family.as_deref(), Some("1"));
    }

    #[test]
    fn a_record_that_cannot_be_read_does_not_show_its_content_inv_i5() {
        let error = decode_refresh(br#"{"current": 5, "x": "secret"}"#).map(|_| ()).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"));
    }
}
