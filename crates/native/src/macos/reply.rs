//! What the extension answers. Numbers and truth values are texts, too.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybearer_core::{
    AccessToken, Account, AuthorityHost, Error, HomeAccountId, IdToken, Result, ScopeSet, TenantId,
    Timestamp, Token, TokenParameters, TokenSource, TokenType,
};
use keybearer_protocol::client_info;
use serde::Deserialize;
use serde_json::Value;

use super::Dictionary;

/// Reads a token. Expiry is counted on our clock, from `expires_in`.
pub(super) fn token(
    reply: &Dictionary,
    parameters: &TokenParameters,
    source: TokenSource,
    now: Timestamp,
) -> Result<Token> {
    check(reply)?;
    let text = |name: &str| reply.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let number = |name: &str| text(name)?.parse().ok().filter(|number| *number > 0);
    let access_token = text("access_token")
        .ok_or_else(|| Error::protocol("access_token in the extension's reply", "none"))?;
    let expires_in: Option<u64> = number("expires_in");
    let expires_on: Option<i64> =
        text("expires_on").and_then(|text| text.parse().ok()).filter(|moment| *moment > 0);
    // Without a time it counts as expired: an extra request is better than an expired token.
    let expires_on = match (expires_in, expires_on) {
        (Some(seconds), _) => now + Duration::from_secs(seconds),
        (None, Some(moment)) => Timestamp::from_unix_seconds(moment),
        (None, None) => now,
    };
    let granted: Vec<&str> = text("scope").unwrap_or_default().split_whitespace().collect();
    let pop = text("token_type").is_some_and(|word| word.eq_ignore_ascii_case("pop"));
    Ok(Token {
        access_token: AccessToken::new(access_token.to_owned()),
        token_type: if pop { TokenType::ProofOfPossession } else { TokenType::Bearer },
        expires_on,
        refresh_on: None,
        granted_scopes: ScopeSet::parse(&granted).unwrap_or_else(|_| parameters.scopes.clone()),
        account: account_of(text("id_token"), text("client_info"), parameters.authority.host())?,
        id_token: text("id_token").map(|text| IdToken::new(text.to_owned())),
        source,
    })
}

/// Reads the accounts: JSON in a text. Entries that are no account are left out.
pub(super) fn accounts(reply: &Dictionary) -> Result<Vec<Account>> {
    let Some(text) = reply.get("accounts").filter(|text| !text.is_empty()) else {
        return Ok(Vec::new());
    };
    let listed: Vec<Value> = serde_json::from_str(text)
        .map_err(|_| Error::protocol("a list of accounts in the extension's reply", "no list"))?;
    Ok(listed.iter().filter_map(listed_account).collect())
}

/// Checks a reply of which only the success matters.
pub(super) fn check(reply: &Dictionary) -> Result<()> {
    match reply.get("success").map(String::as_str) {
        Some("1" | "true" | "YES") => Ok(()),
        Some(_) => Err(Error::protocol("success of the extension", "a reply that says otherwise")),
        None => Err(Error::protocol("success in the extension's reply", "none")),
    }
}

fn listed_account(entry: &Value) -> Option<Account> {
    let identifier = entry.get("account_identifier").unwrap_or(entry);
    let text = |names: &[&str]| {
        let value =
            names.iter().find_map(|name| entry.get(*name).or_else(|| identifier.get(*name)));
        value.and_then(Value::as_str).filter(|text| !text.is_empty())
    };
    let home_account_id =
        HomeAccountId::parse(text(&["home_account_id", "account_home_id"])?).ok()?;
    let host = AuthorityHost::parse(text(&["environment"])?).ok()?;
    Some(Account {
        environment: host.environment().to_owned(),
        realm: TenantId::parse(text(&["realm"]).unwrap_or_else(|| home_account_id.utid())).ok()?,
        local_account_id: text(&["local_account_id"])
            .unwrap_or_else(|| home_account_id.uid())
            .to_owned(),
        username: text(&["username", "account_displayable_id"])?.to_owned(),
        name: text(&["name"]).map(str::to_owned),
        home_account_id,
    })
}

#[derive(Deserialize)]
struct Claims {
    name: Option<String>,
    oid: String,
    preferred_username: Option<String>,
    tid: String,
    upn: Option<String>,
}

/// Whose token it is. Signatures are not checked: macOS vouches for the extension.
fn account_of(id_token: Option<&str>, info: Option<&str>, host: &AuthorityHost) -> Result<Account> {
    let unknown = || Error::protocol("an ID token that names the account", "another or none");
    let payload = id_token.and_then(|token| token.split('.').nth(1)).ok_or_else(unknown)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).map_err(|_| unknown())?;
    let claims: Claims = serde_json::from_slice(&payload).map_err(|_| unknown())?;
    let home_account_id = match info {
        Some(info) => client_info::parse(info)?.home_account_id()?,
        None => HomeAccountId::from_parts(&claims.oid, &claims.tid).map_err(|_| unknown())?,
    };
    Ok(Account {
        home_account_id,
        environment: host.environment().to_owned(),
        realm: TenantId::parse(&claims.tid).map_err(|_| unknown())?,
        local_account_id: claims.oid,
        username: claims.preferred_username.or(claims.upn).ok_or_else(unknown)?,
        name: claims.name,
    })
}
