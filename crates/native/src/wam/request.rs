use std::collections::BTreeMap;

use keybearer_core::{Claims, OIDC_SCOPES, Prompt, Tenant, TokenParameters};

use super::provider::Plugin;
use super::transport::{PromptType, Provider, Request};

/// How a person takes part.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode<'a> {
    /// Not at all.
    Silent,
    /// As far as the provider needs.
    Interactive {
        prompt: Prompt,
        /// The name to fill in where Windows does not know the account yet.
        login_hint: Option<&'a str>,
    },
}

/// The account of the token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum AccountRef {
    /// The account with this `WebAccount.Id`.
    Known(String),
    /// The provider's own choice: it stands for one account.
    Provider,
    /// Nobody Windows knows.
    Unknown,
}

/// What decides about a request besides the caller's parameters.
#[derive(Clone, Debug)]
pub(super) struct RequestPlan<'a> {
    pub(super) plugin: Plugin,
    pub(super) provider: Provider,
    pub(super) who: AccountRef,
    pub(super) mode: Mode<'a>,
}

impl RequestPlan<'_> {
    /// The request as Windows' plug-ins want it. Their properties are documented by the MIT
    /// licensed source of MSAL.NET (folder `Platforms/uap/WamBroker`) and nowhere else.
    pub(super) fn request(self, parameters: &TokenParameters) -> Request {
        let mut properties = BTreeMap::new();
        for (name, value) in &parameters.extra_query {
            // The plug-ins have their own word for it.
            match (name.as_str(), value.as_str()) {
                ("instance_aware", "true") => properties.insert("discover".into(), "home".into()),
                _ => properties.insert(name.clone(), value.clone()),
            };
        }
        let prompt = self.ask(&mut properties);
        let fixed: &[(&str, &str)] = match self.plugin {
            // Version 2 tokens, and the OAuth answer's members among the properties.
            Plugin::Work => &[("wam_compat", "2.0")],
            Plugin::Personal => {
                &[("api-version", "2.0"), ("oauth2_batch", "1"), ("x-client-info", "1")]
            }
        };
        properties.extend(fixed.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        properties.insert("authority".into(), self.authority(parameters));
        properties.insert("validateAuthority".into(), "yes".into());
        let claims = Claims::merge(parameters.claims.as_ref(), &parameters.capabilities);
        if let Some(claims) = claims.filter(|_| self.plugin == Plugin::Work) {
            properties.insert("claims".into(), claims.as_str().to_owned());
        }
        Request {
            scope: scope(parameters),
            client_id: parameters.client_id.clone(),
            prompt,
            properties,
            correlation_id: parameters.correlation_id.clone(),
            account_id: match self.who {
                AccountRef::Known(id) => Some(id),
                AccountRef::Provider | AccountRef::Unknown => None,
            },
            refused: parameters.access_token_to_renew.clone(),
            provider: self.provider,
        }
    }

    /// The prompt rules.
    ///
    /// * Windows knows the account and nothing is forced: the plug-in decides what it must ask.
    /// * A prompt is forced, or the account is not known: authenticate, and for work accounts say
    ///   how. Without a name that is the plug-in's own list of accounts.
    fn ask(&self, properties: &mut BTreeMap<String, String>) -> PromptType {
        let Mode::Interactive { prompt, login_hint } = self.mode else {
            return PromptType::Default;
        };
        let known = self.who != AccountRef::Unknown;
        let login_hint = login_hint.filter(|_| !known);
        if known && prompt == Prompt::IfNeeded {
            return PromptType::Default;
        }
        if let Some(username) = login_hint {
            properties.insert("LoginHint".into(), username.to_owned());
        }
        match self.plugin {
            Plugin::Work => {
                let word = match (prompt, login_hint) {
                    (Prompt::IfNeeded, None) => Prompt::SelectAccount.as_parameter(),
                    (prompt, _) => prompt.as_parameter(),
                };
                properties.extend(word.map(|word| ("prompt".into(), word.to_owned())));
            }
            Plugin::Personal if !known => {
                properties.insert("Client_uiflow".into(), "new_account".into());
            }
            Plugin::Personal => {}
        }
        PromptType::ForceAuthentication
    }

    /// Interactive requests for `organizations` fail for some work accounts
    /// (AzureAD/microsoft-authentication-library-for-dotnet, issues 2476 and 3217); with `common`
    /// the provider still offers work accounts only.
    fn authority(&self, parameters: &TokenParameters) -> String {
        let interactive = matches!(self.mode, Mode::Interactive { .. });
        let affected = interactive
            && self.plugin == Plugin::Work
            && *parameters.authority.tenant() == Tenant::Organizations
            && (self.provider.is_organizations() || self.provider == super::provider::local());
        if affected {
            parameters.authority.with_tenant(Tenant::Common).to_string()
        } else {
            parameters.authority.to_string()
        }
    }
}

/// The resource's scopes and those of sign-in that bring an id token and `client_info`.
fn scope(parameters: &TokenParameters) -> String {
    let sign_in = OIDC_SCOPES.into_iter().filter(|scope| *scope != "email");
    parameters.scopes.iter().chain(sign_in).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use keybearer_core::{AccessToken, Authority, Capabilities};
    use keybearer_testkit::sample;

    use super::super::provider::{local, organizations};
    use super::*;

    fn interactive(prompt: Prompt, login_hint: Option<&str>) -> Mode<'_> {
        Mode::Interactive { prompt, login_hint }
    }

    /// Prompt type and the properties `prompt`, `LoginHint` and `Client_uiflow`.
    fn asked(plugin: Plugin, known: bool, mode: Mode<'_>) -> (bool, [Option<String>; 3]) {
        let who = if known { AccountRef::Known("wam-1".into()) } else { AccountRef::Unknown };
        let recipe = RequestPlan { plugin, provider: organizations(), who, mode };
        let request = recipe.request(&sample::parameters());
        let property = |name: &str| request.properties.get(name).cloned();
        let forced = request.prompt == PromptType::ForceAuthentication;
        (forced, ["prompt", "LoginHint", "Client_uiflow"].map(property))
    }

    #[test]
    fn the_prompt_rules() {
        use Plugin::{Personal, Work};
        use Prompt::{Consent, IfNeeded, Login, SelectAccount};
        let new_account = Some("new_account");
        for (plugin, known, prompt, hint, forced, expected) in [
            (Work, true, IfNeeded, None, false, [None, None, None]),
            (Work, true, IfNeeded, Some("a@x"), false, [None, None, None]),
            (Work, true, Login, None, true, [Some("login"), None, None]),
            (Work, false, IfNeeded, None, true, [Some("select_account"), None, None]),
            (Work, false, IfNeeded, Some("a@x"), true, [None, Some("a@x"), None]),
            (Work, false, Consent, Some("a@x"), true, [Some("consent"), Some("a@x"), None]),
            (Work, false, SelectAccount, None, true, [Some("select_account"), None, None]),
            (Personal, false, IfNeeded, None, true, [None, None, new_account]),
            (Personal, false, Login, Some("a@x"), true, [None, Some("a@x"), new_account]),
            (Personal, true, IfNeeded, None, false, [None, None, None]),
            (Personal, true, Login, None, true, [None, None, None]),
        ] {
            let case = format!("{plugin:?} {known} {prompt:?} {hint:?}");
            let outcome = asked(plugin, known, interactive(prompt, hint));
            assert_eq!(outcome, (forced, expected.map(|word| word.map(str::to_owned))), "{case}");
        }
        for plugin in [Work, Personal] {
            assert_eq!(asked(plugin, false, Mode::Silent), (false, [None, None, None]));
        }
    }

    #[test]
    fn organizations_is_asked_for_as_common_where_a_person_takes_part() {
        let parameters = |tenant: &str| {
            let text = format!("https://login.microsoftonline.com/{tenant}");
            let authority = Authority::parse(&text).unwrap();
            TokenParameters { authority, ..sample::parameters() }
        };
        let mode = interactive(Prompt::IfNeeded, None);
        for (tenant, provider, mode, expected) in [
            ("organizations", organizations(), mode, "common"),
            ("organizations", local(), mode, "common"),
            ("organizations", organizations(), Mode::Silent, "organizations"),
            ("contoso.example", organizations(), mode, "contoso.example"),
            ("common", organizations(), mode, "common"),
        ] {
            let recipe =
                RequestPlan { plugin: Plugin::Work, provider, who: AccountRef::Provider, mode };
            let request = recipe.request(&parameters(tenant));
            let expected = format!("https://login.microsoftonline.com/{expected}");
            assert_eq!(request.properties["authority"], expected);
        }
    }

    #[test]
    fn a_request_says_everything_the_caller_said() {
        let mut parameters = sample::parameters();
        parameters.claims = Claims::parse(r#"{"id_token":{"a":null}}"#).unwrap();
        parameters.capabilities = Capabilities::continuous_access_evaluation();
        parameters.extra_query.insert("instance_aware".into(), "true".into());
        parameters.extra_query.insert("dc".into(), "x".into());
        let refused = AccessToken::new("stale".into());
        parameters.access_token_to_renew = Some(refused.clone());
        let silent = |plugin| RequestPlan {
            plugin,
            provider: organizations(),
            who: AccountRef::Known("wam-1".into()),
            mode: Mode::Silent,
        };
        let request = silent(Plugin::Work).request(&parameters);
        assert_eq!(
            request.scope,
            "https://storage.azure.com/.default offline_access openid profile"
        );
        assert_eq!(request.client_id, parameters.client_id);
        assert_eq!(request.correlation_id, parameters.correlation_id);
        assert_eq!(request.account_id.as_deref(), Some("wam-1"));
        assert!(request.refused.unwrap().same_as(&refused));
        for (name, value) in [
            ("wam_compat", "2.0"),
            ("authority", "https://login.microsoftonline.com/organizations"),
            ("validateAuthority", "yes"),
            ("claims", r#"{"access_token":{"xms_cc":{"values":["cp1"]}},"id_token":{"a":null}}"#),
            ("discover", "home"),
            ("dc", "x"),
        ] {
            assert_eq!(request.properties.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(request.properties.len(), 6);

        let request = silent(Plugin::Personal).request(&parameters);
        let names: Vec<&str> = request.properties.keys().map(String::as_str).collect();
        let expected = [
            "api-version",
            "authority",
            "dc",
            "discover",
            "oauth2_batch",
            "validateAuthority",
            "x-client-info",
        ];
        assert_eq!(names, expected);
    }
}
