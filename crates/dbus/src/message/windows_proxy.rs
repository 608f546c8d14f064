//! The requests to WSL's proxy to the Windows broker, `msal.wsl.proxy.exe`.
//!
//! It answers as any broker does, so replies are read by the methods of the interface. Its requests
//! differ from those on D-Bus: it refuses shapes that it does not know, so they have no key of
//! Keybearer's; it wants the account at the top and inside of `authParameters`, as it listed it; and a
//! silent request has the `authorizationType` of a cookie. That this is the shape that works was
//! found by others against the real proxy in 2026; the interactive and the sign-out request follow
//! it with the numbers that Microsoft's own client uses, and have met the real proxy nowhere yet.
//!
//! Requests become arguments of a process, which others can see. No secret is in them:
//! `accessTokenToRenew` is never written (promise I5).

use std::collections::BTreeMap;

use keybearer_core::{Account, Capabilities, Claims, ClientId, Prompt, Result, TokenParameters};
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use super::account::AccountMembers;
use super::error::ErrorMembers;
use super::pop_parameters::PopObject;
use super::{Member, Nested, check_error, from_reply, to_json};

/// The protocol version the requests are written in.
pub const PROTOCOL_VERSION: &str = "3";

/// The method that signs out. It is the interface's; whether the proxy knows it is not known.
pub const SIGN_OUT: &str = "removeAccount";

/// An account and the object that stands for it, whole, because it has to be handed back untouched.
#[derive(Clone, Debug)]
pub struct ListedAccount {
    account: Account,
    object: Map<String, Value>,
}

impl ListedAccount {
    /// Who it is.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }
}

/// The request of `getAccounts`.
#[must_use]
pub fn accounts_request(client_id: &ClientId) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Object<'a> {
        client_id: &'a str,
        redirect_uri: &'a str,
    }
    to_json(&Object { client_id: client_id.as_str(), redirect_uri: NATIVE_CLIENT })
}

/// Reads the reply to `getAccounts`. A list and an error together are a list that lacks the
/// accounts of one provider; entries that are no account are left out.
///
/// # Errors
/// The broker's error if there is nothing else; `Protocol` if the reply is malformed.
pub fn read_accounts(json: &str) -> Result<Vec<ListedAccount>> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Reply {
        accounts: Vec<Value>,
        error: Member<Nested<ErrorMembers>>,
    }
    let Reply { accounts, error } = from_reply(json)?;
    let listed: Vec<ListedAccount> = accounts.into_iter().filter_map(listed_account).collect();
    if listed.is_empty() {
        check_error(error)?;
    }
    Ok(listed)
}

fn listed_account(value: Value) -> Option<ListedAccount> {
    let members: AccountMembers = serde_json::from_value(value.clone()).ok()?;
    let Value::Object(object) = value else { return None };
    Some(ListedAccount { account: members.whole()?, object })
}

/// The request of a token method: `prompt` is for the interactive one.
///
/// Windows lets the person choose where no account is named, so that is how it is asked to. The
/// other prompts go among the parameters for the provider; Windows may refuse them, which is better
/// than to pass over them.
#[must_use]
pub fn token_request(
    parameters: &TokenParameters,
    account: Option<&ListedAccount>,
    hint: Option<&str>,
    prompt: Option<Prompt>,
) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Object<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        account: Option<&'a Map<String, Value>>,
        auth_parameters: AuthParameters<'a>,
    }
    let mut extra_query = parameters.extra_query.clone();
    let account = account.filter(|_| prompt != Some(Prompt::SelectAccount));
    if let Some(prompt @ (Prompt::Login | Prompt::Consent)) = prompt {
        let word = prompt.as_parameter().unwrap_or_default();
        extra_query.insert("prompt".to_owned(), word.to_owned());
    }
    let object = account.map(|account| &account.object);
    let username = account.map(|account| account.account.username.as_str()).or(hint);
    to_json(&Object {
        account: object,
        auth_parameters: AuthParameters {
            account: object,
            additional_query_parameters_for_authorization: &extra_query,
            authority: parameters.authority.to_string(),
            authorization_type: if prompt.is_some() { INTERACTIVE } else { SILENT },
            client_id: parameters.client_id.as_str(),
            decoded_claims: claims(parameters.claims.as_ref(), &parameters.capabilities),
            pop_params: parameters.proof_of_possession.as_ref().map(PopObject::new),
            redirect_uri: parameters.redirect_uri.as_ref().map_or(NATIVE_CLIENT, Url::as_str),
            requested_scopes: parameters.scopes.iter().collect(),
            username: username.unwrap_or_default(),
        },
    })
}

/// The request of [`SIGN_OUT`].
#[must_use]
pub fn sign_out_request(client_id: &ClientId, account: &ListedAccount) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Object<'a> {
        account: &'a Map<String, Value>,
        auth_parameters: AuthParameters<'a>,
        client_id: &'a str,
    }
    let authority = format!("https://{}/{}", account.account.environment, account.account.realm);
    to_json(&Object {
        account: &account.object,
        auth_parameters: AuthParameters {
            account: Some(&account.object),
            additional_query_parameters_for_authorization: &BTreeMap::new(),
            authority,
            authorization_type: SIGN_OUT_SILENT,
            client_id: client_id.as_str(),
            decoded_claims: String::new(),
            pop_params: None,
            redirect_uri: NATIVE_CLIENT,
            requested_scopes: Vec::new(),
            username: &account.account.username,
        },
        client_id: client_id.as_str(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthParameters<'a> {
    account: Option<&'a Map<String, Value>>,
    additional_query_parameters_for_authorization: &'a BTreeMap<String, String>,
    authority: String,
    authorization_type: i64,
    client_id: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    decoded_claims: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pop_params: Option<PopObject<'a>>,
    redirect_uri: &'a str,
    requested_scopes: Vec<&'a str>,
    username: &'a str,
}

fn claims(claims: Option<&Claims>, capabilities: &Capabilities) -> String {
    let merged = Claims::merge(claims, capabilities);
    merged.map(|claims| claims.as_str().to_owned()).unwrap_or_default()
}

/// A request must name a redirect URI. Windows ignores it and uses its own:
/// `ms-appx-web://Microsoft.AAD.BrokerPlugin/CLIENT_ID`.
const NATIVE_CLIENT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";

/// `authorizationType` of silent requests to the proxy.
const SILENT: i64 = 8;

/// `authorizationType` of interactive requests.
const INTERACTIVE: i64 = 6;

/// `authorizationType` of signing out without asking.
const SIGN_OUT_SILENT: i64 = 12;

/// The numbers of an error that distinguish a fault of the machine's setup from a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProxyFault {
    /// Which line of Microsoft's code complained.
    pub tag: i64,
    /// The Windows error, as a signed number of 32 bits.
    pub error_code: i64,
}

/// Reads the numbers of the error in a reply, wherever in it the error is; none is zeros.
#[must_use]
pub fn fault(json: &str) -> ProxyFault {
    #[derive(Default, serde::Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Reply {
        error: Member<Nested<Numbers>>,
        broker_token_response: Member<Nested<ProxyReply>>,
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct ProxyReply {
        error: Member<Nested<Numbers>>,
    }
    #[derive(Clone, Default, serde::Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Numbers {
        tag: Member<i64>,
        error_code: Member<i64>,
    }
    let Ok(reply) = from_reply::<Reply>(json) else { return ProxyFault::default() };
    let inner =
        reply.broker_token_response.lenient().and_then(|Nested(inner)| inner.error.lenient());
    let numbers = inner.or_else(|| reply.error.lenient());
    let Some(Nested(Numbers { tag, error_code })) = numbers else { return ProxyFault::default() };
    let error_code = error_code.lenient().unwrap_or_default();
    ProxyFault {
        tag: tag.lenient().unwrap_or_default(),
        // Some write it unsigned.
        error_code: u32::try_from(error_code).map_or(error_code, |code| i64::from(code as i32)),
    }
}
