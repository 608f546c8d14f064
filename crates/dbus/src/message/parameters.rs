use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use keybearer_core::{
    AccessToken, AccountChoice, Authority, Claims, ClientId, Error, HomeAccountId, Prompt, Result,
    ScopeSet, SignInOptions, TokenParameters,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::account::{AccountMembers, AccountObject, UnknownMembers};
use super::own::{ExtensionIn, ExtensionOut};
use super::pop_parameters::{PopMembers, PopObject};
use super::{Call, Member, Nested, from_request, to_json};

/// The request of both token methods.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TokenRequestMembers {
    account: Member<Nested<AccountMembers>>,
    auth_parameters: Member<Nested<AuthParametersMembers>>,
    keybearer: Member<Nested<ExtensionIn>>,
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
    pub(crate) echo: TokenEcho,
    pub(crate) sign_in_options: SignInOptions,
    /// Whether our own client wrote it.
    pub(crate) is_own: bool,
}

/// What of a token request is repeated in the reply.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TokenEcho {
    /// The scopes as the client spelt them; clients look for each of them in the reply.
    pub requested_scopes: Vec<String>,
    /// What the client keeps in the account that it named, besides what is known of accounts.
    pub(crate) account: Option<(HomeAccountId, UnknownMembers)>,
}

impl TokenEcho {
    /// Of a request for these scopes.
    #[must_use]
    pub fn new(requested_scopes: Vec<String>) -> Self {
        Self { requested_scopes, account: None }
    }
}

/// Reads the request of a token method.
pub(crate) fn read(json: &str, call: &Call, default_limit: Duration) -> Result<ReadParameters> {
    let TokenRequestMembers { account, auth_parameters, keybearer } = from_request(json)?;
    let Nested(members) = auth_parameters.required("authParameters")?;
    let own = ExtensionIn::of(keybearer);
    let proof_of_possession = match members.pop_params.in_request("popParams")? {
        Some(Nested(pop)) => pop.proof_of_possession()?,
        None => None,
    };
    let scopes = members.requested_scopes.required("requestedScopes")?;
    let (claims, capabilities) = match members.decoded_claims.in_request("decodedClaims")? {
        Some(text) => Claims::parse(&text)?.map(Claims::split).unwrap_or_default(),
        None => Default::default(),
    };
    let authority = members.authority.in_request("authority")?;
    let extra = members.additional_query_parameters_for_authorization;
    let mut extra = Extra::read(extra.in_request("additionalQueryParametersForAuthorization")?);
    let app = App {
        client_id: members.client_id.required("clientId")?,
        redirect_uri: members.redirect_uri.in_request("redirectUri")?,
    };
    let app = app.innermost(&mut extra.query);
    let named_prompt = members.prompt.lenient().or(extra.prompt);
    let named_prompt = named_prompt.map(|word| Prompt::from_parameter(&word));
    let mut choice = AccountSources {
        nested: members.account,
        top_level: account,
        username: match members.username {
            Member::Absent => extra.login_hint.map_or(Member::Absent, Member::Is),
            username => username,
        },
    };
    let unknown = choice.take_unknown();
    let parameters = TokenParameters {
        authority: Authority::parse(authority.as_deref().unwrap_or(DEFAULT_AUTHORITY))?,
        client_id: ClientId::parse(&app.client_id)?,
        redirect_uri: app.redirect_uri.map(|text| parse_url(&text, "redirectUri")).transpose()?,
        scopes: ScopeSet::parse_or_sign_in(&scopes)?,
        account: choice.read(&own)?,
        claims,
        capabilities,
        access_token_to_renew: members
            .access_token_to_renew
            .in_request("accessTokenToRenew")?
            .map(AccessToken::new),
        proof_of_possession,
        extra_query: extra.query,
        correlation_id: call.correlation_id.clone(),
        deadline: own.deadline(default_limit, call.received),
        caller: call.caller.clone(),
    };
    let account = match (&parameters.account, unknown) {
        (AccountChoice::Exact(id), unknown) if !unknown.is_empty() => Some((id.clone(), unknown)),
        _ => None,
    };
    Ok(ReadParameters {
        parameters,
        prompt: own.prompt().or(named_prompt).unwrap_or_default(),
        echo: TokenEcho { requested_scopes: scopes, account },
        sign_in_options: sign_in_options(&own, call),
        is_own: own.is_there(),
    })
}

/// Whether the client wants no person to be asked (`prompt=none`, OpenID Connect Core §3.1.2.1), said
/// in either place. `false` for a malformed request, which is refused with a reason when it is read.
pub(crate) fn is_prompt_none(json: &str) -> bool {
    let Ok(request) = from_request::<TokenRequestMembers>(json) else { return false };
    let Some(Nested(members)) = request.auth_parameters.lenient() else { return false };
    let extra = members.additional_query_parameters_for_authorization.lenient();
    let prompt = members.prompt.lenient().or_else(|| Extra::read(extra).prompt);
    prompt.is_some_and(|word| word.eq_ignore_ascii_case("none"))
}

/// Parameters for the authorization endpoint.
struct Extra {
    query: BTreeMap<String, String>,
    /// Some callers put parameters here that have a field.
    login_hint: Option<String>,
    prompt: Option<String>,
}

impl Extra {
    fn read(parameters: Option<BTreeMap<String, String>>) -> Self {
        let mut query = parameters.unwrap_or_default();
        let (login_hint, prompt) = (query.remove("login_hint"), query.remove("prompt"));
        Self { query, login_hint, prompt }
    }
}

/// The app that asks.
struct App {
    client_id: String,
    redirect_uri: Option<String>,
}

impl App {
    /// An app that hosts another names it in `child_client_id`, as MSAL.js does towards platform
    /// brokers. To the provider the inner app is the one that asks, and the host its broker
    /// (`brk_client_id`), as MSAL.js itself does where there is no platform broker.
    fn innermost(self, extra_query: &mut BTreeMap<String, String>) -> Self {
        let Some(client_id) = extra_query.remove("child_client_id") else { return self };
        let host =
            [("brk_client_id", Some(self.client_id)), ("brk_redirect_uri", self.redirect_uri)];
        for (name, value) in host {
            extra_query.extend(value.map(|value| (name.to_owned(), value)));
        }
        Self { client_id, redirect_uri: extra_query.remove("child_redirect_uri") }
    }
}

/// Without a correlation id, a call cannot be distinguished from other calls of its caller.
fn sign_in_options(own: &ExtensionIn, call: &Call) -> SignInOptions {
    let callback = call.callback.as_ref().filter(|_| !call.correlation_id.is_empty());
    let presenter = own.abilities().zip(callback);
    let presenter =
        presenter.map(|(abilities, callback)| callback.caller_ui(abilities, &call.correlation_id));
    SignInOptions { method: own.method(), caller_ui: presenter }
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
    fn take_unknown(&mut self) -> UnknownMembers {
        match (&mut self.nested, &mut self.top_level) {
            (Member::Is(Nested(account)), _) | (_, Member::Is(Nested(account))) => {
                account.take_unknown()
            }
            _ => UnknownMembers::new(),
        }
    }

    /// The most exact of what was said.
    pub(crate) fn read(self, own: &ExtensionIn) -> Result<AccountChoice> {
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

/// Writes the request of a token method; `asking` is for the interactive one.
pub(crate) fn write(
    parameters: &TokenParameters,
    asking: Option<(Prompt, &SignInOptions)>,
    now: Instant,
) -> String {
    let prompt = asking.map(|(prompt, _)| prompt);
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct TokenRequest<'a> {
        auth_parameters: AuthParametersObject<'a>,
        keybearer: ExtensionOut,
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
    let own = ExtensionOut::new(parameters.deadline.left(now))
        .with_account(&parameters.account)
        .with_prompt(prompt.unwrap_or_default());
    let own = match asking {
        Some((_, sign_in_options)) => own.with_presence(sign_in_options),
        None => own,
    };
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
