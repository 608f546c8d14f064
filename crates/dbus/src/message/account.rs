use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybearer_core::{Account, HomeAccountId, TenantId};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Member, to_json_of};

/// An account as clients hand it back: any member may be missing.
#[derive(Debug, Default)]
pub(crate) struct AccountMembers {
    home_account_id: Member<String>,
    environment: Member<String>,
    realm: Member<String>,
    local_account_id: Member<String>,
    username: Member<String>,
    name: Member<String>,
    unknown: UnknownMembers,
}

/// What a client keeps in an account besides what [`AccountObject`] has. It goes back untouched.
pub(crate) type UnknownMembers = serde_json::Map<String, Value>;

impl<'de> Deserialize<'de> for AccountMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AccountVisitor)
    }
}

struct AccountVisitor;

impl<'de> Visitor<'de> for AccountVisitor {
    type Value = AccountMembers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an account")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AccountMembers, A::Error> {
        let mut members = AccountMembers::default();
        while let Some(key) = map.next_key::<String>()? {
            let place = match key.as_str() {
                "homeAccountId" => &mut members.home_account_id,
                "environment" => &mut members.environment,
                "realm" => &mut members.realm,
                "localAccountId" => &mut members.local_account_id,
                "username" => &mut members.username,
                "name" => &mut members.name,
                "clientInfo" | "givenName" | "passwordExpiry" => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => {
                    members.unknown.insert(key, map.next_value()?);
                    continue;
                }
            };
            *place = map.next_value()?;
        }
        Ok(members)
    }
}

impl AccountMembers {
    /// Who is meant, by id if there is one.
    pub(crate) fn home_account_id(&self) -> keybearer_core::Result<Option<HomeAccountId>> {
        let id = self.home_account_id.clone().in_request("account")?;
        id.map(|id| HomeAccountId::parse(&id)).transpose()
    }

    /// The user name, if there is one.
    pub(crate) fn username(&self) -> keybearer_core::Result<Option<String>> {
        self.username.clone().in_request("account")
    }

    /// What came with the account that is not ours to know, by its id.
    pub(crate) fn take_unknown(&mut self) -> UnknownMembers {
        std::mem::take(&mut self.unknown)
    }

    /// The whole account; `None` if a member that an account needs is missing.
    pub(crate) fn whole(self) -> Option<Account> {
        Some(Account {
            home_account_id: HomeAccountId::parse(&self.home_account_id.lenient()?).ok()?,
            environment: self.environment.lenient()?,
            realm: TenantId::parse(&self.realm.lenient()?).ok()?,
            local_account_id: self.local_account_id.lenient()?,
            username: self.username.lenient()?,
            name: self.name.lenient(),
        })
    }
}

/// An account with every member that any known client needs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountObject<'a> {
    client_info: String,
    environment: &'a str,
    given_name: &'a str,
    home_account_id: &'a str,
    local_account_id: &'a str,
    name: &'a str,
    password_expiry: i64,
    realm: &'a str,
    username: &'a str,
    #[serde(flatten)]
    unknown: Option<&'a UnknownMembers>,
}

impl<'a> From<&'a Account> for AccountObject<'a> {
    fn from(account: &'a Account) -> Self {
        Self {
            client_info: client_info(&account.home_account_id),
            environment: &account.environment,
            given_name: "",
            home_account_id: account.home_account_id.as_str(),
            local_account_id: &account.local_account_id,
            name: account.name.as_deref().unwrap_or_default(),
            password_expiry: 0,
            realm: account.realm.as_str(),
            username: &account.username,
            unknown: None,
        }
    }
}

impl<'a> AccountObject<'a> {
    /// As much as is known of an account of which only the id is.
    pub(crate) fn named(id: &'a HomeAccountId, environment: &'a str) -> Self {
        Self {
            client_info: client_info(id),
            environment,
            given_name: "",
            home_account_id: id.as_str(),
            local_account_id: id.uid(),
            name: "",
            password_expiry: 0,
            realm: id.utid(),
            username: "",
            unknown: None,
        }
    }

    /// What it says of the account's ids.
    pub(crate) fn client_info(&self) -> &str {
        &self.client_info
    }

    /// With what the client keeps in it.
    pub(crate) fn with(self, unknown: &'a UnknownMembers) -> Self {
        Self { unknown: Some(unknown), ..self }
    }
}

/// `client_info` of the token endpoint: base64url of `{"uid","utid"}`.
fn client_info(id: &HomeAccountId) -> String {
    #[derive(Serialize)]
    struct Ids<'a> {
        uid: &'a str,
        utid: &'a str,
    }
    let ids = Ids { uid: id.uid(), utid: id.utid() };
    URL_SAFE_NO_PAD.encode(to_json_of(&ids, 2 * id.as_str().len()))
}

/// The account that an ID token and a `client_info` are about. Signatures are not checked: the
/// broker that sent both vouches for them.
pub(crate) fn account_from_statements(
    id_token: &str,
    client_info: Option<&str>,
    environment: &str,
) -> Option<Account> {
    let payload = decoded(id_token.split('.').nth(1)?)?;
    let claims: IdTokenClaims = serde_json::from_slice(&payload).ok()?;
    let realm = TenantId::parse(&claims.tid.lenient()?).ok()?;
    let local_account_id = claims.oid.lenient()?;
    let username = claims.preferred_username.lenient().or_else(|| claims.upn.lenient())?;
    let home = client_info.and_then(decoded);
    let home: Option<ClientInfo> =
        home.as_deref().and_then(|info| serde_json::from_slice(info).ok());
    let home_account_id = match home {
        Some(home) => HomeAccountId::from_parts(&home.uid.lenient()?, &home.utid.lenient()?),
        None => HomeAccountId::from_parts(&local_account_id, realm.as_str()),
    };
    Some(Account {
        home_account_id: home_account_id.ok()?,
        environment: environment.to_owned(),
        realm,
        local_account_id,
        username,
        name: claims.name.lenient(),
    })
}

fn decoded(base64url: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(base64url.trim_end_matches('=')).ok()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IdTokenClaims {
    name: Member<String>,
    oid: Member<String>,
    preferred_username: Member<String>,
    tid: Member<String>,
    upn: Member<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClientInfo {
    uid: Member<String>,
    utid: Member<String>,
}
