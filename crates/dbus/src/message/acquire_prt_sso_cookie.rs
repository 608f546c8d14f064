use std::time::Instant;

use keybearer_core::{
    Account, AccountChoice, Authority, AuthorityHost, Error, Result, SsoCookie, SsoCookieContent,
    SsoCookieRequest, Tenant, TenantId,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::account::{AccountMembers, AccountObject};
use super::error::ErrorMembers;
use super::own::{ExtensionIn, ExtensionOut, SILENT_TIMEOUT};
use super::parameters::{AuthParametersMembers, account_and_username, parse_url};
use super::{Call, Member, Method, Nested, check_error, from_reply, from_request, to_json};

/// `acquirePrtSsoCookie`: a browser's single sign-on cookie.
#[derive(Debug)]
#[non_exhaustive]
pub struct AcquirePrtSsoCookie;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Members {
    account: Member<Nested<AccountMembers>>,
    auth_parameters: Member<Nested<AuthParametersMembers>>,
    keybearer: Member<Nested<ExtensionIn>>,
    sso_url: Member<String>,
}

/// Brokers up to 2.0.1 read the account at the top, later ones inside; both get it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    account: Option<AccountObject<'a>>,
    auth_parameters: AuthParametersObject<'a>,
    keybearer: ExtensionOut,
    mam_enrollment: bool,
    sso_url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthParametersObject<'a> {
    account: Option<AccountObject<'a>>,
    authority: String,
    authorization_type: i64,
    sso_url: &'a str,
    username: &'a str,
}

/// Both forms of the reply: flat for old clients, a list for new ones.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    account: AccountObject<'a>,
    cookie_content: &'a str,
    cookie_items: [CookieObject<'a>; 1],
    cookie_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CookieObject<'a> {
    cookie_content: &'a str,
    cookie_name: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReplyMembers {
    account: Member<Nested<AccountMembers>>,
    cookie_content: Member<String>,
    cookie_items: Member<Vec<Nested<CookieMembers>>>,
    cookie_name: Member<String>,
    error: Member<Nested<ErrorMembers>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CookieMembers {
    cookie_content: Member<String>,
    cookie_name: Member<String>,
}

impl Method for AcquirePrtSsoCookie {
    type Request = SsoCookieRequest;
    type Reply = SsoCookie;
    type Echo = ();

    const NAME: &'static str = "acquirePrtSsoCookie";

    fn encode_request(request: &SsoCookieRequest, now: Instant) -> String {
        let authority = Authority::new(AuthorityHost::public_cloud(), Tenant::Common);
        let (account, username) = account_and_username(&request.account, &authority);
        let sso_url = request.sso_url.as_ref().map_or(DEFAULT_SSO_URL, Url::as_str);
        to_json(&Object {
            account: account_and_username(&request.account, &authority).0,
            auth_parameters: AuthParametersObject {
                account,
                authority: authority.to_string(),
                authorization_type: PRT_SSO_COOKIE,
                sso_url,
                username,
            },
            keybearer: ExtensionOut::new(request.deadline.left(now)).with_account(&request.account),
            mam_enrollment: false,
            sso_url,
        })
    }

    fn decode_request(json: &str, call: &Call) -> Result<(SsoCookieRequest, ())> {
        let Members { account, auth_parameters, keybearer, sso_url } = from_request(json)?;
        let own = ExtensionIn::of(keybearer);
        let parameters = auth_parameters.in_request("authParameters")?;
        let mut parameters = parameters.map(|Nested(members)| members).unwrap_or_default();
        let nested_url = std::mem::take(&mut parameters.sso_url);
        let sources = parameters.account_sources(account);
        let url = sso_url.in_request("ssoUrl")?.or(nested_url.in_request("ssoUrl")?);
        let request = SsoCookieRequest {
            account: sources.read(&own)?,
            sso_url: url.map(|text| parse_url(&text, "ssoUrl")).transpose()?,
            correlation_id: call.correlation_id.clone(),
            deadline: own.deadline(SILENT_TIMEOUT, call.received),
        };
        Ok((request, ()))
    }

    fn encode_reply(cookie: &SsoCookie, (): &()) -> String {
        let (cookie_name, cookie_content) = (cookie.name.as_str(), cookie.content.expose());
        to_json(&Reply {
            account: AccountObject::from(&cookie.account),
            cookie_content,
            cookie_items: [CookieObject { cookie_content, cookie_name }],
            cookie_name,
        })
    }

    fn decode_reply(json: &str, request: &SsoCookieRequest) -> Result<SsoCookie> {
        let reply: ReplyMembers = from_reply(json)?;
        check_error(reply.error)?;
        let items = reply.cookie_items.in_reply("cookieItems")?.unwrap_or_default();
        let (name, content) = match items.into_iter().next() {
            Some(Nested(item)) => (item.cookie_name, item.cookie_content),
            None => (reply.cookie_name, reply.cookie_content),
        };
        let account = reply.account.in_reply("account")?.and_then(|Nested(it)| it.whole());
        let account = account.or_else(|| asked_for(&request.account));
        match (name.in_reply("cookieName")?, content.in_reply("cookieContent")?, account) {
            (Some(name), Some(content), Some(account)) => {
                let content = SsoCookieContent::new(content);
                Ok(SsoCookie { name, content, account })
            }
            _ => Err(Error::protocol("a cookie and its account", "less than that")),
        }
    }
}

/// Newer brokers of other vendors do not repeat whose cookie it is.
fn asked_for(choice: &AccountChoice) -> Option<Account> {
    let AccountChoice::Exact(id) = choice else { return None };
    Some(Account {
        home_account_id: id.clone(),
        environment: AuthorityHost::public_cloud().environment().to_owned(),
        realm: TenantId::parse(id.utid()).ok()?,
        local_account_id: id.uid().to_owned(),
        username: String::new(),
        name: None,
    })
}

/// What is meant when no page is named.
const DEFAULT_SSO_URL: &str = "https://login.microsoftonline.com/";

/// `authorizationType` of cookie requests.
const PRT_SSO_COOKIE: i64 = 8;
