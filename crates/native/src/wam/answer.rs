use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybearer_core::{
    AccessToken, Account, Authority, Error, HomeAccountId, IdToken, Result, ScopeSet, TenantId,
    Timestamp, Token, TokenParameters, TokenSource, TokenType,
};
use serde::Deserialize;

use super::provider::Plugin;
use super::transport::{Answer, Response};
use super::{account, fault};

/// What an answer is read with.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseContext<'a> {
    pub(super) parameters: &'a TokenParameters,
    pub(super) plugin: Plugin,
    pub(super) source: TokenSource,
    pub(super) now: Timestamp,
}

/// A token, and under which id Windows keeps its account.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) token: Token,
    pub(super) account_id: Option<String>,
}

impl ResponseContext<'_> {
    /// Reads an answer. A token for another account than the one that was asked for
    /// (`AccountSwitch`) is a success here: the person chose it.
    pub(super) fn read(self, answer: &Answer) -> Result<Issued> {
        let response = fault::check(answer, &self.parameters.client_id)?;
        match self.plugin {
            Plugin::Work => self.of_properties(response),
            Plugin::Personal => self.of_form(response),
        }
    }

    /// Work accounts: the token by itself, the rest of the OAuth answer among the properties.
    fn of_properties(self, response: &Response) -> Result<Issued> {
        let property = |name: &str| response.properties.get(name).map(String::as_str);
        let expires_on = property("TokenExpiresOn").and_then(windows_time);
        self.issued(Members {
            response,
            access_token: response.token.clone(),
            // Without a time it counts as expired: an extra request is better than an expired token.
            expires_on: expires_on.unwrap_or(self.now),
            id_token: property("wamcompat_id_token"),
            client_info: property("wamcompat_client_info"),
            scope: property("wamcompat_scopes").map(str::to_owned),
            authority: property("Authority"),
        })
    }

    /// Microsoft accounts: everything in one form, whose values are not escaped except for the
    /// spaces of the scope.
    fn of_form(self, response: &Response) -> Result<Issued> {
        let pairs = response.token.expose().split('&').filter_map(|pair| pair.split_once('='));
        let form: BTreeMap<&str, &str> = pairs.collect();
        let expires_in = form.get("expires_in").and_then(|text| text.parse().ok());
        let expires_in = Duration::from_secs(expires_in.unwrap_or_default());
        self.issued(Members {
            response,
            access_token: AccessToken::new((*form.get("access_token").unwrap_or(&"")).to_owned()),
            expires_on: self.now + expires_in,
            id_token: form.get("id_token").copied(),
            client_info: form.get("client_info").copied(),
            scope: form.get("scope").map(|scope| scope.replace("%20", " ")),
            authority: None,
        })
    }

    fn issued(self, members: Members<'_>) -> Result<Issued> {
        if members.access_token.expose().is_empty() {
            return Err(Error::protocol("a token", "an answer without one"));
        }
        let web = members.response.account.as_ref();
        let token = Token {
            token_type: TokenType::Bearer,
            expires_on: members.expires_on,
            refresh_on: None,
            granted_scopes: self.granted(members.scope.as_deref()),
            account: self.account(&members)?,
            id_token: members.id_token.map(|token| IdToken::new(token.to_owned())),
            source: self.source,
            access_token: members.access_token,
        };
        Ok(Issued { token, account_id: web.map(|web| web.id.clone()) })
    }

    /// AccountRef it is: `client_info` knows the home directory also of guests; the account of Windows is
    /// what is left without it, and then the id token.
    fn account(self, members: &Members<'_>) -> Result<Account> {
        let host = self.parameters.authority.host();
        let web = members.response.account.as_ref();
        let listed = web.and_then(|web| account::read(web, self.plugin, host));
        let claims = members.id_token.and_then(Claims::read).unwrap_or_default();
        let of_claims =
            || HomeAccountId::from_parts(claims.oid.as_deref()?, claims.tid.as_deref()?).ok();
        let home_account_id = match members.client_info {
            Some(encoded) => keybearer_protocol::client_info::parse(encoded)?.home_account_id()?,
            None => listed
                .as_ref()
                .map(|account| account.home_account_id.clone())
                .or_else(of_claims)
                .ok_or_else(|| Error::protocol("an account", "a token without an account"))?,
        };
        let realm = claims.tid.as_deref().unwrap_or_else(|| home_account_id.utid());
        let oid = claims.oid.as_deref().unwrap_or_else(|| home_account_id.uid());
        let username = claims.preferred_username.or(claims.upn);
        let username = username.or_else(|| web.map(|web| web.user_name.clone()));
        let issuer = members.authority.and_then(|text| Authority::parse(text).ok());
        let listed = listed.map(|account| account.environment);
        let environment = match issuer {
            Some(issuer) => issuer.host().environment().to_owned(),
            None => listed.unwrap_or_else(|| host.environment().to_owned()),
        };
        Ok(Account {
            environment,
            realm: TenantId::parse(realm)?,
            local_account_id: oid.to_owned(),
            username: username.unwrap_or_default(),
            name: claims.name,
            home_account_id,
        })
    }

    /// At least what was asked for: that is what the token was given for.
    fn granted(self, scope: Option<&str>) -> ScopeSet {
        let asked = &self.parameters.scopes;
        let granted = scope.unwrap_or_default().split_ascii_whitespace();
        let all: Vec<&str> = asked.iter().chain(granted).collect();
        ScopeSet::parse(&all).unwrap_or_else(|_| asked.clone())
    }
}

struct Members<'a> {
    response: &'a Response,
    access_token: AccessToken,
    expires_on: Timestamp,
    id_token: Option<&'a str>,
    client_info: Option<&'a str>,
    scope: Option<String>,
    authority: Option<&'a str>,
}

/// What an id token says about the person. Its signature is not checked: it came from the operating
/// system, and nothing but names for people to read is taken from it where `client_info` is there.
#[derive(Default, Deserialize)]
struct Claims {
    oid: Option<String>,
    tid: Option<String>,
    preferred_username: Option<String>,
    upn: Option<String>,
    name: Option<String>,
}

impl Claims {
    fn read(id_token: &str) -> Option<Self> {
        let payload = id_token.split('.').nth(1)?.trim_end_matches('=');
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

/// Seconds since 1601-01-01T00:00:00Z. A number that small that it means no later year than 1970 is
/// no moment.
fn windows_time(text: &str) -> Option<Timestamp> {
    const SECONDS_FROM_1601_TO_1970: i64 = 11_644_473_600;
    let seconds = text.trim().parse::<i64>().ok()?.checked_sub(SECONDS_FROM_1601_TO_1970)?;
    (seconds > 0).then(|| Timestamp::from_unix_seconds(seconds))
}

#[cfg(test)]
mod tests {
    use keybearer_testkit::sample;

    use super::super::transport::WebAccount;
    use super::*;

    const CLIENT_INFO: &str = "eyJ1aWQiOiJob21lLW9pZCIsInV0aWQiOiJob21lLXRpZCJ9";

    fn id_token(json: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(json))
    }

    fn web_account() -> WebAccount {
        let properties = [("OID", "oid"), ("TenantId", "tid")];
        WebAccount {
            id: "wam-1".into(),
            user_name: "dev@contoso.example".into(),
            properties: properties.map(|(name, value)| (name.into(), value.into())).into(),
        }
    }

    fn read(
        plugin: Plugin,
        token: &str,
        properties: &[(&str, &str)],
        account: Option<WebAccount>,
    ) -> Result<Issued> {
        let properties = properties.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        let token = AccessToken::new(token.into());
        let response = Some(Response { token, account, properties });
        let parameters = sample::parameters();
        let (source, now) = (TokenSource::Cache, sample::now());
        let question = ResponseContext { parameters: &parameters, plugin, source, now };
        question.read(&Answer { status: 0, error: None, response })
    }

    #[test]
    fn the_expiry_is_counted_from_1601() {
        for (text, expected) in [
            ("13440000000", Some(1_795_526_400)),
            (" 11644473601 ", Some(1)),
            ("11644473600", None),
            ("1795526400", None),
            ("-1", None),
            ("", None),
            ("soon", None),
            ("99999999999999999999", None),
        ] {
            let moment = windows_time(text).map(Timestamp::unix_seconds);
            assert_eq!(moment, expected, "{text}");
        }
        let work = |properties: &[(&str, &str)]| {
            read(Plugin::Work, "t", properties, Some(web_account())).unwrap().token.expires_on
        };
        assert_eq!(work(&[("TokenExpiresOn", "13440000000")]).unix_seconds(), 1_795_526_400);
        assert_eq!(work(&[]), sample::now(), "without a moment it is expired");
    }

    #[test]
    fn who_it_is_is_told_by_client_info_then_by_windows_then_by_the_id_token() {
        let claims = id_token(r#"{"oid":"o","tid":"t","preferred_username":"p@x","name":"P"}"#);
        let (info, id) = (("wamcompat_client_info", CLIENT_INFO), ("wamcompat_id_token", &*claims));
        for (properties, web, expected) in [
            (vec![info, id], true, Some(("home-oid.home-tid", "t", "p@x"))),
            (vec![info], true, Some(("home-oid.home-tid", "home-tid", "dev@contoso.example"))),
            (vec![id], true, Some(("oid.tid", "t", "p@x"))),
            (vec![], true, Some(("oid.tid", "tid", "dev@contoso.example"))),
            (vec![id], false, Some(("o.t", "t", "p@x"))),
            (vec![], false, None),
            (vec![("wamcompat_client_info", "%")], true, None),
            (
                vec![("wamcompat_id_token", "garbage")],
                true,
                Some(("oid.tid", "tid", "dev@contoso.example")),
            ),
        ] {
            let outcome = read(Plugin::Work, "t", &properties, web.then(web_account));
            match (outcome, expected) {
                (Ok(issued), Some((home, realm, username))) => {
                    let account = issued.token.account;
                    let found = (
                        account.home_account_id.as_str(),
                        account.realm.as_str(),
                        &*account.username,
                    );
                    assert_eq!(found, (home, realm, username), "{properties:?}");
                    assert_eq!(issued.account_id.as_deref(), web.then_some("wam-1"));
                }
                (Err(error), None) => assert_eq!(error.kind().name(), "protocol", "{error}"),
                (outcome, _) => panic!("{properties:?}: {outcome:?}"),
            }
        }
    }

    #[test]
    fn a_microsoft_accounts_answer_is_a_form() {
        let form = format!(
            "access_token=EwA%2b+/x&token_type=bearer&expires_in=3600&scope=User.Read%20openid\
             &client_info={CLIENT_INFO}"
        );
        let issued = read(Plugin::Personal, &form, &[], Some(web_account())).unwrap();
        let token = issued.token;
        assert_eq!(token.access_token.expose(), "EwA%2b+/x");
        assert_eq!(token.expires_on, sample::now() + Duration::from_secs(3600));
        assert_eq!(token.account.home_account_id.as_str(), "home-oid.home-tid");
        for odd in ["", "EwA", "access_token=", "expires_in=1"] {
            let error = read(Plugin::Personal, odd, &[], Some(web_account())).unwrap_err();
            assert_eq!(error.kind().name(), "protocol", "{odd}");
        }
        assert!(read(Plugin::Work, "", &[], Some(web_account())).is_err());
    }

    #[test]
    fn the_scopes_granted_are_at_least_those_asked_for() {
        let asked = "https://storage.azure.com/.default";
        for (scope, expected) in [
            ("", asked.to_owned()),
            ("openid profile", asked.to_owned()),
            (
                "https://storage.azure.com/user_impersonation openid",
                format!("{asked} https://storage.azure.com/user_impersonation"),
            ),
            ("https://vault.azure.net/x", asked.to_owned()),
        ] {
            let properties = [("wamcompat_scopes", scope)];
            let issued = read(Plugin::Work, "t", &properties, Some(web_account())).unwrap();
            assert_eq!(issued.token.granted_scopes.to_string(), expected);
        }
    }

    #[test]
    fn i5_an_answer_prints_no_secret() {
        let properties = [("wamcompat_id_token", "SECRET-2")];
        let properties = properties.map(|(name, value)| (name.into(), value.into())).into();
        let token = AccessToken::new("SECRET-1".into());
        let response = Some(Response { token, account: None, properties });
        let printed = format!("{:?}", Answer { status: 0, error: None, response });
        assert!(!printed.contains("SECRET"), "{printed}");
    }
}
