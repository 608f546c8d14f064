use std::time::Instant;

use keybearer_core::{AuthorityHost, Error, RemoveAccountRequest, Result};
use serde::{Deserialize, Serialize};

use super::account::{AccountMembers, AccountObject};
use super::error::ErrorMembers;
use super::own::{ExtensionIn, ExtensionOut, SILENT_TIMEOUT};
use super::{Call, Member, Method, Nested, check_error, from_reply, from_request, to_json};

/// `removeAccount`: forgets an account.
#[derive(Debug)]
#[non_exhaustive]
pub struct RemoveAccount;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Members {
    account: Member<Nested<AccountMembers>>,
    keybearer: Member<Nested<ExtensionIn>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    account: AccountObject<'a>,
    client_id: &'a str,
    keybearer: ExtensionOut,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReplyMembers {
    error: Member<Nested<ErrorMembers>>,
}

impl Method for RemoveAccount {
    type Request = RemoveAccountRequest;
    type Reply = ();
    type Echo = ();

    const NAME: &'static str = "removeAccount";

    fn encode_request(request: &RemoveAccountRequest, now: Instant) -> String {
        let host = AuthorityHost::public_cloud();
        to_json(&Object {
            account: AccountObject::named(&request.home_account_id, host.environment()),
            client_id: "",
            keybearer: ExtensionOut::new(request.deadline.left(now)),
        })
    }

    fn decode_request(json: &str, call: &Call) -> Result<(RemoveAccountRequest, ())> {
        let Members { account, keybearer } = from_request(json)?;
        let Nested(account) = account.required("account")?;
        let home_account_id = account.home_account_id()?.ok_or_else(|| {
            Error::invalid_request("account", "homeAccountId is missing in the account to remove")
        })?;
        let request = RemoveAccountRequest {
            home_account_id,
            correlation_id: call.correlation_id.clone(),
            deadline: ExtensionIn::of(keybearer).deadline(SILENT_TIMEOUT, call.received),
        };
        Ok((request, ()))
    }

    fn encode_reply((): &(), (): &()) -> String {
        "{}".to_owned()
    }

    fn decode_reply(json: &str, _: &RemoveAccountRequest) -> Result<()> {
        let ReplyMembers { error } = from_reply(json)?;
        check_error(error)
    }
}
