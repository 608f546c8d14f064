use std::time::Instant;

use keybearer_core::{Account, AccountsRequest, ClientId, Result};
use serde::{Deserialize, Serialize, Serializer};

use super::account::{AccountMembers, AccountObject};
use super::error::ErrorMembers;
use super::own::{ExtensionIn, ExtensionOut, SILENT_TIMEOUT};
use super::{
    Call, Member, Method, Nested, check_error, from_reply, from_request, to_json, to_json_of,
};

/// `getAccounts`: the connected accounts.
#[derive(Debug)]
#[non_exhaustive]
pub struct GetAccounts;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Members {
    client_id: Member<String>,
    keybearer: Member<Nested<ExtensionIn>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    client_id: &'a str,
    keybearer: ExtensionOut,
    redirect_uri: &'a str,
}

#[derive(Serialize)]
struct Reply<'a> {
    #[serde(serialize_with = "one_by_one")]
    accounts: &'a [Account],
}

/// All objects of a long list at once would be more than the rest of a broker's memory in use.
fn one_by_one<S: Serializer>(accounts: &[Account], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(accounts.iter().map(AccountObject::from))
}

/// Room for an account of Entra's and its names.
const TYPICAL_LENGTH: usize = 512;

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReplyMembers {
    accounts: Member<Vec<Nested<AccountMembers>>>,
    error: Member<Nested<ErrorMembers>>,
}

impl Method for GetAccounts {
    type Request = AccountsRequest;
    type Reply = Vec<Account>;
    type Echo = ();

    const NAME: &'static str = "getAccounts";

    fn encode_request(request: &AccountsRequest, now: Instant) -> String {
        to_json(&Object {
            client_id: request.client_id.as_ref().map_or("", ClientId::as_str),
            keybearer: ExtensionOut::new(request.deadline.left(now)),
            redirect_uri: "",
        })
    }

    fn decode_request(json: &str, call: &Call) -> Result<(AccountsRequest, ())> {
        let Members { client_id, keybearer } = from_request(json)?;
        let client_id = client_id.in_request("clientId")?;
        let request = AccountsRequest {
            client_id: client_id.map(|id| ClientId::parse(&id)).transpose()?,
            correlation_id: call.correlation_id.clone(),
            deadline: ExtensionIn::of(keybearer).deadline(SILENT_TIMEOUT, call.received),
        };
        Ok((request, ()))
    }

    fn encode_reply(accounts: &Vec<Account>, (): &()) -> String {
        let reply = Reply { accounts };
        to_json_of(&reply, (accounts.len() + 1) * TYPICAL_LENGTH)
    }

    /// A list and an error together are a list that lacks the accounts of one provider. Entries
    /// that are no account are left out.
    fn decode_reply(json: &str, _: &AccountsRequest) -> Result<Vec<Account>> {
        let ReplyMembers { accounts, error } = from_reply(json)?;
        let listed = accounts.in_reply("accounts")?.unwrap_or_default();
        let accounts: Vec<Account> =
            listed.into_iter().filter_map(|Nested(account)| account.whole()).collect();
        if accounts.is_empty() {
            check_error(error)?;
        }
        Ok(accounts)
    }
}
