use std::collections::BTreeMap;

use keybearer_core::{
    AccessToken, Error, ErrorKind, IdToken, ProofOfPossession, Result, ScopeSet, Timestamp, Token,
    TokenParameters, TokenSource, TokenType,
};
use serde::{Deserialize, Serialize};

use super::account::{AccountMembers, AccountObject, account_from_statements};
use super::error::{ErrorMembers, ErrorObject};
use super::parameters::TokenEcho;
use super::{Member, Nested, check_error, from_reply, to_json};

/// The reply of both token methods. It has no place for a refresh token (promise I1).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenReply<'a> {
    broker_token_response: TokenObject<'a>,
    telemetry: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenObject<'a> {
    access_token: &'a str,
    access_token_type: i64,
    account: AccountObject<'a>,
    client_info: String,
    expires_on: i64,
    extended_expires_on: i64,
    granted_scopes: String,
    id_token: &'a str,
}

/// Writes a token. Times are in milliseconds.
pub(crate) fn write(token: &Token, echo: &TokenEcho) -> String {
    let mut telemetry = BTreeMap::from([(SOURCE, token.source.as_str().to_owned())]);
    telemetry.extend(token.refresh_on.map(|moment| (REFRESH_ON, moment.unix_millis().to_string())));
    let expires_on = token.expires_on.unix_millis();
    let account = AccountObject::from(&token.account);
    let account = match &echo.account {
        Some((id, unknown)) if *id == token.account.home_account_id => account.with(unknown),
        _ => account,
    };
    to_json(&TokenReply {
        broker_token_response: TokenObject {
            access_token: token.access_token.expose(),
            access_token_type: match token.token_type {
                TokenType::Bearer => BEARER,
                TokenType::ProofOfPossession => PROOF_OF_POSSESSION,
            },
            client_info: account.client_info().to_owned(),
            account,
            expires_on,
            extended_expires_on: expires_on,
            granted_scopes: granted_scopes(&token.granted_scopes, &echo.requested_scopes),
            id_token: token.id_token.as_ref().map_or("", IdToken::expose),
        },
        telemetry,
    })
}

/// What was granted, each requested scope as it was spelt, and the sign-in scopes: clients treat
/// a scope that they asked for and do not find as declined.
fn granted_scopes(granted: &ScopeSet, requested: &[String]) -> String {
    let mut scopes: Vec<&str> = granted.iter().collect();
    for scope in requested.iter().map(String::as_str).chain(["openid", "profile"]) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes.join(" ")
}

/// Writes the error of a token method.
pub(crate) fn write_error(error: &Error) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Failed {
        broker_token_response: FailedToken,
    }
    #[derive(Serialize)]
    struct FailedToken {
        error: ErrorObject,
    }
    to_json(&Failed { broker_token_response: FailedToken { error: error.into() } })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TokenReplyMembers {
    broker_token_response: Member<Nested<TokenMembers>>,
    error: Member<Nested<ErrorMembers>>,
    telemetry: Member<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TokenMembers {
    access_token: Member<String>,
    access_token_type: Member<i64>,
    account: Member<Nested<AccountMembers>>,
    client_info: Member<String>,
    error: Member<Nested<ErrorMembers>>,
    expires_on: Member<i64>,
    granted_scopes: Member<Vec<String>>,
    id_token: Member<String>,
    sub_error: Member<String>,
}

/// Reads a token or the broker's error.
pub(crate) fn read(json: &str, parameters: &TokenParameters) -> Result<Token> {
    let reply: TokenReplyMembers = from_reply(json)?;
    check_error(reply.error)?;
    let Nested(mut members) = present(reply.broker_token_response, "brokerTokenResponse")?;
    let suberror = std::mem::take(&mut members.sub_error).lenient();
    check_error(std::mem::take(&mut members.error))
        .map_err(|error| with_suberror(error, suberror.as_deref()))?;
    let telemetry = reply.telemetry.lenient().unwrap_or_default();
    let id_token = members.id_token.in_reply("idToken")?;
    let info = members.client_info.in_reply("clientInfo")?;
    let whole = members.account.in_reply("account")?.and_then(|Nested(account)| account.whole());
    let environment = parameters.authority.host().environment();
    let account = whole
        .or_else(|| account_from_statements(id_token.as_deref()?, info.as_deref(), environment))
        .ok_or_else(|| Error::protocol("an account or an ID token", "neither"))?;
    let scopes = members.granted_scopes.lenient().unwrap_or_default();
    let refresh_on = telemetry.get(REFRESH_ON).and_then(|millis| millis.parse().ok());
    let token_type = match members.access_token_type.in_reply("accessTokenType")? {
        Some(PROOF_OF_POSSESSION) => TokenType::ProofOfPossession,
        _ => TokenType::Bearer,
    };
    let signed = matches!(parameters.proof_of_possession, Some(ProofOfPossession::Signed(_)));
    if signed && token_type == TokenType::Bearer {
        // Not every broker can sign. A thief could use a bearer token.
        return Err(Error::protocol("a signed HTTP request", "a bearer token"));
    }
    Ok(Token {
        access_token: AccessToken::new(present(members.access_token, "accessToken")?),
        token_type,
        expires_on: expiry(present(members.expires_on, "expiresOn")?),
        refresh_on: refresh_on.map(Timestamp::from_unix_millis),
        // If the broker names none, or something else, the requested scopes were granted.
        granted_scopes: ScopeSet::parse(&scopes).unwrap_or_else(|_| parameters.scopes.clone()),
        account,
        id_token: id_token.map(IdToken::new),
        source: telemetry
            .get(SOURCE)
            .and_then(|word| TokenSource::parse(word))
            .unwrap_or(TokenSource::Cache),
    })
}

fn present<T>(member: Member<T>, field: &'static str) -> Result<T> {
    member
        .in_reply(field)?
        .ok_or_else(|| Error::protocol(format!("{field} in the broker's reply"), "none"))
}

/// Some brokers give the finer reason beside the error.
fn with_suberror(error: Error, beside: Option<&str>) -> Error {
    match (error.kind(), beside) {
        (ErrorKind::InteractionRequired { claims, suberror: None }, Some(suberror)) => {
            let suberror = Some(suberror.to_owned());
            let kind = ErrorKind::InteractionRequired { claims: claims.clone(), suberror };
            Error::from_parts(kind, error.context().clone())
        }
        _ => error,
    }
}

/// Milliseconds, or seconds from a broker that mixes them up: as milliseconds the limit is a day
/// in 1973, as seconds the year 5138.
fn expiry(number: i64) -> Timestamp {
    const LIMIT: i64 = 100_000_000_000;
    if number < LIMIT {
        Timestamp::from_unix_seconds(number)
    } else {
        Timestamp::from_unix_millis(number)
    }
}

const BEARER: i64 = 0;
const PROOF_OF_POSSESSION: i64 = 1;

const SOURCE: &str = "keybearer_source";
const REFRESH_ON: &str = "keybearer_refresh_on_ms";
