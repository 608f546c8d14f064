use keybearer_core::{Account, ClientId, HomeAccountId};

use crate::effects::RecordKey;

/// Identifies an account within a cloud.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct AccountKey {
    pub(crate) environment: String,
    pub(crate) home_account_id: HomeAccountId,
}

impl AccountKey {
    pub(crate) fn of(account: &Account) -> Self {
        Self {
            environment: account.environment.clone(),
            home_account_id: account.home_account_id.clone(),
        }
    }
}

const ACCOUNT: &str = "account";
const PROOF_KEY: &str = "proof-key";
const REFRESH: &str = "refresh";

/// What a record contains, and of which account, as its key says.
pub(crate) enum RecordName {
    Account(AccountKey),
    /// The private key, in PKCS #8.
    ProofKey(AccountKey),
    Refresh(AccountKey, ClientId),
}

impl RecordName {
    pub(crate) fn key(&self) -> RecordKey {
        RecordKey(match self {
            Self::Account(account) => format!("{ACCOUNT}/{}", path(account)),
            Self::ProofKey(account) => format!("{PROOF_KEY}/{}", path(account)),
            Self::Refresh(account, client) => format!("{REFRESH}/{}/{client}", path(account)),
        })
    }

    /// Parses a key. `None` for a kind of record that this version does not know.
    pub(crate) fn parse(key: &RecordKey) -> Option<Self> {
        let mut parts = key.0.split('/');
        let mut next = || parts.next();
        let kind = next()?;
        let account = AccountKey {
            environment: next()?.to_owned(),
            home_account_id: HomeAccountId::parse(next()?).ok()?,
        };
        match (kind, next(), next()) {
            (ACCOUNT, None, None) => Some(Self::Account(account)),
            (PROOF_KEY, None, None) => Some(Self::ProofKey(account)),
            (REFRESH, Some(client), None) => {
                Some(Self::Refresh(account, ClientId::parse(client).ok()?))
            }
            _ => None,
        }
    }
}

fn path(account: &AccountKey) -> String {
    format!("{}/{}", account.environment, account.home_account_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account_key() -> AccountKey {
        AccountKey {
            environment: "localhost:8443".into(),
            home_account_id: HomeAccountId::parse("oid.tid").unwrap(),
        }
    }

    #[test]
    fn record_names_survive_the_way_through_the_store() {
        let client = ClientId::parse("app").unwrap();
        for name in [
            RecordName::Account(account_key()),
            RecordName::ProofKey(account_key()),
            RecordName::Refresh(account_key(), client),
        ] {
            let key = name.key();
            assert_eq!(RecordName::parse(&key).unwrap().key(), key);
        }
        for unknown in ["", "account", "account/env", "other/env/oid.tid", "account/env/oid.tid/x"]
        {
            assert!(RecordName::parse(&RecordKey(unknown.into())).is_none(), "{unknown}");
        }
    }
}
