use keybearer_core::{AuthorityHost, ClientId, Error, HomeAccountId, Result, TenantId, Token};
use serde::{Deserialize, Serialize};

/// The only version there is, in every Azure SDK.
const VERSION: &str = "1.0";

/// Who signed in, where and for which app. No secret: an app keeps it to ask for the same account
/// the next time.
///
/// As JSON it is the record of azure-identity in every language, so one may be passed on to, or
/// taken over from, a program that uses `azure.identity.AuthenticationRecord`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct AuthenticationRecord {
    /// The authority that was asked.
    pub authority: AuthorityHost,
    /// The app that asked.
    pub client_id: ClientId,
    /// The account, across directories.
    pub home_account_id: HomeAccountId,
    /// The directory that issued the token; not necessarily the account's home.
    pub tenant_id: TenantId,
    /// The user principal name.
    pub username: String,
}

impl AuthenticationRecord {
    pub(crate) fn of(authority: AuthorityHost, client_id: ClientId, token: &Token) -> Self {
        let account = &token.account;
        Self {
            authority,
            client_id,
            home_account_id: account.home_account_id.clone(),
            tenant_id: account.realm.clone(),
            username: account.username.clone(),
        }
    }

    /// The record as JSON.
    #[must_use]
    pub fn serialize(&self) -> String {
        // Five texts and a constant: there is nothing in them that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a record that this or an Azure SDK wrote.
    ///
    /// # Errors
    /// `InvalidRequest` on `authentication_record` if it is not such JSON or of another version.
    pub fn deserialize(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| {
            let message = "this is not an authentication record of version 1.0";
            Error::invalid_request("authentication_record", message).with_source(error)
        })
    }
}

/// The record's JSON, key by key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    authority: String,
    client_id: String,
    home_account_id: String,
    tenant_id: String,
    username: String,
    version: String,
}

impl From<AuthenticationRecord> for Written {
    fn from(record: AuthenticationRecord) -> Self {
        Self {
            authority: record.authority.as_str().to_owned(),
            client_id: record.client_id.as_str().to_owned(),
            home_account_id: record.home_account_id.as_str().to_owned(),
            tenant_id: record.tenant_id.as_str().to_owned(),
            username: record.username,
            version: VERSION.to_owned(),
        }
    }
}

impl TryFrom<Written> for AuthenticationRecord {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        if written.version != VERSION {
            let message = format!("the version of the record is '{}'", written.version);
            return Err(Error::invalid_request("authentication_record", message));
        }
        Ok(Self {
            authority: AuthorityHost::parse(&written.authority)?,
            client_id: ClientId::parse(&written.client_id)?,
            home_account_id: HomeAccountId::parse(&written.home_account_id)?,
            tenant_id: TenantId::parse(&written.tenant_id)?,
            username: written.username,
        })
    }
}

#[cfg(test)]
mod tests {
    use keybearer_core::ErrorKind;

    use super::*;

    /// What `azure.identity.AuthenticationRecord.serialize()` of azure-identity 1.27 writes.
    const OF_PYTHON: &str = r#"{"authority": "login.microsoftonline.com", "clientId": "04b07795-8ddb-461a-bbee-02f9e1bf7b46", "homeAccountId": "0d4c9ea4-1111-4222-8333-444455556666.7c1a5b0e-1111-4222-8333-444455556666", "tenantId": "7c1a5b0e-1111-4222-8333-444455556666", "username": "dev@contoso.example", "version": "1.0"}"#;

    #[test]
    fn a_record_of_azure_identity_is_read_and_written_back_key_by_key() {
        let record = AuthenticationRecord::deserialize(OF_PYTHON).unwrap();
        assert_eq!(record.username, "dev@contoso.example");
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&record.serialize()), value(OF_PYTHON));
        assert_eq!(AuthenticationRecord::deserialize(&record.serialize()).unwrap(), record);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let wrong = [
            String::new(),
            "{}".to_owned(),
            OF_PYTHON.replace("\"1.0\"", "\"2.0\""),
            OF_PYTHON.replace("clientId", "client_id"),
            OF_PYTHON.replace("0d4c9ea4-1111-4222-8333-444455556666.", ""),
        ];
        for json in wrong {
            let error = AuthenticationRecord::deserialize(&json).unwrap_err();
            let expected = ErrorKind::InvalidRequest { field: "authentication_record".into() };
            assert_eq!(*error.kind(), expected, "{json}");
        }
    }
}
