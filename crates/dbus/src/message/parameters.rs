use std::collections::BTreeMap;
use std::time::Duration;

use keybearer_core::{
    AccessToken, AccountChoice, Authority, Claims, ClientId, Error, HomeAccountId, Prompt, Result,
    ScopeSet, TokenParameters,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::account::{AccountMembers, AccountObject};
use super::own::{OwnMembers, OwnObject};
use super::pop_parameters::{PopMembers, PopObject};
use super::{Call, Member, Nested, from_request, to_json};

/// The request of both token methods.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TokenRequestMembers {
    account: Member<Nested<AccountMembers>>,
    auth_parameters: Member<Nested<AuthParametersMembers>>,
    keybearer: Member<Nested<OwnMembers>>,
}

/// `authParameters` as clients send it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AuthParametersMembers {
    access_token_to_renew: Member<String>,
    account: Member<Nested<AccountMembers>>,
    additional_query_parameters_for_authorization: Member<BTreeMap<String, String>>,
    authority: Member<String>,
    client_id: Member<String>,
    decoded_claims: Member<String>,
    pop_params: Member<Nested<PopMembers>>,
    prompt: Member<String>,
    redirect_uri: Member<String>,
    requested_scopes: Member<Vec<String>>,
    pub(crate) sso_url: Member<String>,
    username: Member<String>,
}

/// What a token request says, and how it was said.
pub(crate) struct ReadParameters {
    pub(crate) parameters: TokenParameters,
    pub(crate) prompt: Prompt,
    /// Whether our own client wrote it.
    pub(crate) is_own: bool,
    /// The scopes as the client spelt them; clients look for each of them in the reply.
    pub(crate) requested_scopes: Vec<String>,
}

/// Reads the request of a token method.
pub(crate) fn read(json: &str, call: &Call, default_timeout: Duration) -> Result<ReadParameters> {
    let TokenRequestMembers { account, auth_parameters, keybearer } = from_request(json)?;
    let Nested(members) = auth_parameters.required("authParameters")?;
    let own = OwnMembers::of(keybearer);
    let proof_of_possession = match members.pop_params.in_request("popParams")? {
        Some(Nested(pop)) => pop.proof_of_possession()?,
        None => None,
    };
    let scopes = members.requested_scopes.required("requestedScopes")?;
    let (claims, capabilities) = match members.decoded_claims.in_request("decodedClaims")? {
        Some(text) => Claims::parse(&text)?.map(Claims::split).unwrap_or_default(),
        None => Default::default(),
    };
    let redirect_uri = members.redirect_uri.in_request("redirectUri")?;
    let authority = members.authority.in_request("authority")?;
    let mut extra_query = members
        .additional_query_parameters_for_authorization
        .in_request("additionalQueryParametersForAuthorization")?
        .unwrap_or_default();
    // Some callers say among the extra parameters what has a place of its own.
    let extra_prompt = extra_query.remove("prompt");
    let extra_hint = extra_query.remove("login_hint");
    let named_prompt = members.prompt.lenient().or(extra_prompt);
    let named_prompt = named_prompt.map(|word| Prompt::from_parameter(&word));
    let choice = AccountSources {
        nested: members.account,
        top_level: account,
        username: match members.username {
            Member::Absent => extra_hint.map_or(Member::Absent, Member::Is),
            username => username,
        },
    };
    let parameters = TokenParameters {
        authority: Authority::parse(authority.as_deref().unwrap_or(DEFAULT_AUTHORITY))?,
        client_id: ClientId::parse(&members.client_id.required("clientId")?)?,
        redirect_uri: redirect_uri.map(|text| parse_url(&text, "redirectUri")).transpose()?,
        scopes: ScopeSet::parse(&scopes)?,
        account: choice.read(&own)?,
        claims,
        capabilities,
        access_token_to_renew: members
            .access_token_to_renew
            .in_request("accessTokenToRenew")?
            .map(AccessToken::new),
        proof_of_possession,
        extra_query,
        correlation_id: call.correlation_id.clone(),
        timeout: own.timeout(default_timeout),
        caller: call.caller.clone(),
    };
    Ok(ReadParameters {
        parameters,
        prompt: own.prompt().or(named_prompt).unwrap_or_default(),
        is_own: own.is_there(),
        requested_scopes: scopes,
    })
}

/// Where clients put the account of a request.
pub(crate) struct AccountSources {
    /// `authParameters.account`
    pub(crate) nested: Member<Nested<AccountMembers>>,
    /// `account`, from older clients
    pub(crate) top_level: Member<Nested<AccountMembers>>,
    /// `authParameters.username`
    pub(crate) username: Member<String>,
}

impl AccountSources {
    /// The most exact of what was said.
    pub(crate) fn read(self, own: &OwnMembers) -> Result<AccountChoice> {
        let nested = self.nested.in_request("account")?;
        let account = nested.or(self.top_level.in_request("account")?);
        let (mut id, mut named) = (None, None);
        if let Some(Nested(account)) = account {
            id = account.home_account_id()?;
            named = account.username()?;
        }
        let hint = named.or(self.username.in_request("username")?);
        Ok(match (id, hint) {
            (Some(id), _) => AccountChoice::Exact(id),
            (None, Some(username)) => AccountChoice::LoginHint(username),
            (None, None) => own.open_choice(),
        })
    }
}

impl AuthParametersMembers {
    /// The places of the account, with the one outside of these parameters.
    pub(crate) fn account_sources(
        self,
        top_level: Member<Nested<AccountMembers>>,
    ) -> AccountSources {
        AccountSources { nested: self.account, top_level, username: self.username }
    }
}

/// Reads a URL.
pub(crate) fn parse_url(text: &str, field: &'static str) -> Result<Url> {
    Url::parse(text).map_err(|error| {
        Error::invalid_request(field, format!("{field} is not a URL")).with_source(error)
    })
}

/// `authParameters` as we send it, with every key that Microsoft's client sends.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthParametersObject<'a> {
    access_token_to_renew: &'a str,
    account: Option<AccountObject<'a>>,
    additional_query_parameters_for_authorization: &'a BTreeMap<String, String>,
    authority: String,
    authorization_type: i64,
    client_id: &'a str,
    decoded_claims: String,
    enrollment_id: &'a str,
    password: &'a str,
    pop_params: Option<PopObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uri: Option<&'a str>,
    requested_scopes: Vec<&'a str>,
    username: &'a str,
    ux_context_handle: i64,
}

/// Writes the request of a token method; `prompt` is for the interactive one.
pub(crate) fn write(parameters: &TokenParameters, prompt: Option<Prompt>) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct TokenRequest<'a> {
        auth_parameters: AuthParametersObject<'a>,
        keybearer: OwnObject,
    }
    let claims = Claims::merge(parameters.claims.as_ref(), &parameters.capabilities);
    let (account, username) = account_and_username(&parameters.account, &parameters.authority);
    let auth_parameters = AuthParametersObject {
        access_token_to_renew: parameters
            .access_token_to_renew
            .as_ref()
            .map_or("", AccessToken::expose),
        account,
        additional_query_parameters_for_authorization: &parameters.extra_query,
        authority: parameters.authority.to_string(),
        authorization_type: if prompt.is_some() { INTERACTIVE } else { CACHED_REFRESH_TOKEN },
        client_id: parameters.client_id.as_str(),
        decoded_claims: claims.map(|claims| claims.as_str().to_owned()).unwrap_or_default(),
        enrollment_id: "",
        password: "",
        pop_params: parameters.proof_of_possession.as_ref().map(PopObject::new),
        prompt: prompt.and_then(Prompt::as_parameter),
        redirect_uri: parameters.redirect_uri.as_ref().map(Url::as_str),
        requested_scopes: parameters.scopes.iter().collect(),
        username,
        ux_context_handle: -1,
    };
    let own = OwnObject::new(parameters.timeout)
        .with_account(&parameters.account)
        .with_prompt(prompt.unwrap_or_default());
    to_json(&TokenRequest { auth_parameters, keybearer: own })
}

/// The account object and the login hint that say which account is meant.
pub(crate) fn account_and_username<'a>(
    choice: &'a AccountChoice,
    authority: &'a Authority,
) -> (Option<AccountObject<'a>>, &'a str) {
    let named = |id: &'a HomeAccountId| AccountObject::named(id, authority.host().environment());
    match choice {
        AccountChoice::Only | AccountChoice::Default => (None, ""),
        AccountChoice::LoginHint(username) => (None, username),
        AccountChoice::Exact(id) => (Some(named(id)), ""),
    }
}

/// What a client means that names no authority.
const DEFAULT_AUTHORITY: &str = "https://login.microsoftonline.com/common";

/// `authorizationType` of silent requests.
const CACHED_REFRESH_TOKEN: i64 = 1;

/// `authorizationType` of interactive requests.
const INTERACTIVE: i64 = 6;
