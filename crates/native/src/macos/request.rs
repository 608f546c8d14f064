//! The requests to the extension.

use std::collections::BTreeMap;
use std::fmt;

use keybearer_core::{Account, Claims, ClientId, CorrelationId, Prompt, TokenParameters};
use url::Url;

use super::Dictionary;

/// One request. Everything in it is text; other values would be dropped on the way.
#[derive(Clone)]
pub(crate) struct Operation {
    pub(super) name: Name,
    pub(super) options: Dictionary,
    /// Whether the person may be asked.
    pub(super) interface: Interface,
}

/// The operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Name {
    /// A token, with the person's help: macOS's own `Login`.
    Login,
    /// A token: macOS's own `Refresh`.
    Refresh,
    /// One of the extension's own.
    Own(&'static str),
}

/// Whether windows may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interface {
    Allowed,
    None,
}

const GET_ACCOUNTS: Name = Name::Own("get_accounts_operation");
const SIGN_OUT: Name = Name::Own("signout_account_operation");

/// Where the answers of an app without a signed bundle go.
pub(super) const UNSIGNED_APP: &str = "msauth.com.msauth.unsignedapp://auth";

/// Prints no values: they name people.
impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.options.keys().map(String::as_str).collect();
        f.debug_struct("Operation").field("name", &self.name).field("options", &names).finish()
    }
}

/// The accounts an app may see.
pub(super) fn accounts(client_id: &ClientId, correlation_id: &CorrelationId) -> Operation {
    let mut options = base(correlation_id);
    set(&mut options, "client_id", client_id.as_str());
    set(&mut options, "return_only_signed_in_accounts", "1");
    Operation { name: GET_ACCOUNTS, options, interface: Interface::None }
}

/// A token of an account, without asking.
pub(super) fn silent(parameters: &TokenParameters, account: &Account) -> Operation {
    let mut options = token(parameters);
    name_account(&mut options, account);
    Operation { name: Name::Refresh, options, interface: Interface::None }
}

/// A token, with the person's help.
pub(super) fn interactive(
    parameters: &TokenParameters,
    prompt: Prompt,
    account: Option<&Account>,
    hint: Option<&str>,
) -> Operation {
    let mut options = token(parameters);
    match (account, hint) {
        (Some(account), _) => name_account(&mut options, account),
        (None, Some(hint)) => set(&mut options, "username", hint),
        (None, None) => {}
    }
    if let Some(prompt) = prompt.as_parameter() {
        set(&mut options, "prompt", prompt);
    }
    Operation { name: Name::Login, options, interface: Interface::Allowed }
}

/// Forgets an account.
pub(super) fn sign_out(
    client_id: &ClientId,
    account: &Account,
    correlation_id: &CorrelationId,
) -> Operation {
    let mut options = base(correlation_id);
    set(&mut options, "client_id", client_id.as_str());
    set(&mut options, "redirect_uri", UNSIGNED_APP);
    set(&mut options, "provider_type", PROVIDER);
    set(&mut options, "authority", &format!("https://{}/{}", account.environment, account.realm));
    name_account(&mut options, account);
    Operation { name: SIGN_OUT, options, interface: Interface::None }
}

/// What every request says. A `broker_key` is left out: it comes from a keychain group that only
/// signed apps are entitled to.
fn base(correlation_id: &CorrelationId) -> Dictionary {
    let mut options = BTreeMap::new();
    set(&mut options, "msg_protocol_ver", "4");
    set(&mut options, "client_version", env!("CARGO_PKG_VERSION"));
    set(&mut options, "client_app_version", env!("CARGO_PKG_VERSION"));
    set(&mut options, "client_app_name", "keybearer");
    set(&mut options, "correlation_id", &correlation_id.as_str().to_ascii_uppercase());
    options
}

fn token(parameters: &TokenParameters) -> Dictionary {
    let mut options = base(&parameters.correlation_id);
    let redirect_uri = parameters.redirect_uri.as_ref().map_or(UNSIGNED_APP, Url::as_str);
    let scopes: Vec<&str> = parameters.scopes.iter().collect();
    let capabilities: Vec<&str> = parameters.capabilities.iter().collect();
    set(&mut options, "authority", &parameters.authority.to_string());
    set(&mut options, "client_id", parameters.client_id.as_str());
    set(&mut options, "redirect_uri", redirect_uri);
    set(&mut options, "scope", &scopes.join(" "));
    set(&mut options, "extra_oidc_scopes", "openid profile offline_access");
    set(&mut options, "provider_type", PROVIDER);
    set(&mut options, "client_capabilities", &capabilities.join(","));
    set(&mut options, "claims", parameters.claims.as_ref().map_or("", Claims::as_str));
    let mut extra_query = url::form_urlencoded::Serializer::new(String::new());
    extra_query.extend_pairs(&parameters.extra_query);
    set(&mut options, "extra_query_param", &extra_query.finish());
    if parameters.access_token_to_renew.is_some() {
        set(&mut options, "force_refresh", "1");
    }
    options
}

fn name_account(options: &mut Dictionary, account: &Account) {
    set(options, "home_account_id", account.home_account_id.as_str());
    set(options, "username", &account.username);
    set(options, "account_home_tenant_id", account.home_account_id.utid());
}

/// What is empty is left out.
fn set(options: &mut Dictionary, name: &str, value: &str) {
    if !value.is_empty() {
        options.insert(name.to_owned(), value.to_owned());
    }
}

const PROVIDER: &str = "provider_aad_v2";
