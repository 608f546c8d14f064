use std::time::Duration;

use keybearer_core::{AuthorityHost, ClientId, Error, HomeAccountId, Result, Tenant};
use url::Url;

use crate::chain::BrokerChoice;

/// Microsoft's public client for developer tools, the default app of Azure credentials.
pub const AZURE_DEVELOPER_APP: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// More is taken to mean this, so that adding it to a moment cannot overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a caller says about a credential. `None` and empty mean the default.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "the credential crates build it field by field")]
pub struct CredentialOptions {
    /// The authority's host; default `AZURE_AUTHORITY_HOST`, else `login.microsoftonline.com`.
    pub authority: Option<String>,
    /// The directory: a GUID, a domain, `organizations` (default), `common` or `consumers`.
    pub tenant_id: Option<String>,
    /// Directories a request may name besides `tenant_id`; `*` allows any.
    pub additionally_allowed_tenants: Vec<String>,
    /// The app; default [`AZURE_DEVELOPER_APP`].
    pub client_id: Option<String>,
    /// The user principal name that is expected to sign in.
    pub login_hint: Option<String>,
    /// The account of an earlier sign-in, `object id . tenant id`. Goes before `login_hint`.
    pub home_account_id: Option<String>,
    /// Where the app's sign-in answers go; default `http://localhost` with any port.
    pub redirect_uri: Option<String>,
    /// Use the account that signed in last without asking which. Default false: with several
    /// connected accounts the person chooses.
    pub use_default_broker_account: bool,
    /// Fail with `InteractionRequired` instead of asking a person. Default false.
    pub disable_automatic_authentication: bool,
    /// Trust the authority's host without asking Microsoft about it, in this process. A broker
    /// trusts only what its own settings say. Default false.
    pub disable_instance_discovery: bool,
    /// The window that a window of the system's broker belongs to. Only Windows has a use for it.
    pub parent_window: ParentWindow,
    /// How long one request may take in all, a person's sign-in included; default 300 s. Zero ends
    /// every request that the cache cannot answer; more than a year means a year.
    pub timeout: Option<Duration>,
    /// Whether to use a broker. Default: if there is one.
    pub broker: BrokerChoice,
}

/// The window a sign-in belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum ParentWindow {
    /// Whatever suits: the console's window, else the desktop.
    #[default]
    Automatic,
    /// A native window handle of the operating system (`HWND` on Windows).
    Handle(isize),
}

/// The options, parsed and with defaults filled in.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) host: AuthorityHost,
    pub(crate) tenant: Tenant,
    pub(crate) additionally_allowed_tenants: Vec<String>,
    pub(crate) client_id: ClientId,
    pub(crate) login_hint: Option<String>,
    pub(crate) home_account_id: Option<HomeAccountId>,
    pub(crate) redirect_uri: Option<Url>,
    pub(crate) use_default_broker_account: bool,
    pub(crate) disable_automatic_authentication: bool,
    pub(crate) timeout: Duration,
}

impl Settings {
    /// Parses the options; `authority_host` is the environment's `AZURE_AUTHORITY_HOST`.
    pub(crate) fn new(options: &CredentialOptions, authority_host: Option<&str>) -> Result<Self> {
        let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let authority = text(&options.authority);
        let authority =
            authority.as_deref().or_else(|| authority_host.filter(|host| !host.is_empty()));
        let redirect_uri = text(&options.redirect_uri).map(|uri| {
            Url::parse(&uri).map_err(|error| {
                Error::invalid_request("redirect_uri", "the redirect URI is not a URL")
                    .with_source(error)
            })
        });
        Ok(Self {
            host: authority
                .map_or_else(|| Ok(AuthorityHost::public_cloud()), AuthorityHost::parse)?,
            tenant: Tenant::parse(text(&options.tenant_id).as_deref().unwrap_or("organizations"))?,
            additionally_allowed_tenants: options.additionally_allowed_tenants.clone(),
            client_id: ClientId::parse(
                text(&options.client_id).as_deref().unwrap_or(AZURE_DEVELOPER_APP),
            )?,
            login_hint: text(&options.login_hint),
            home_account_id: text(&options.home_account_id)
                .map(|id| HomeAccountId::parse(&id))
                .transpose()?,
            redirect_uri: redirect_uri.transpose()?,
            use_default_broker_account: options.use_default_broker_account,
            disable_automatic_authentication: options.disable_automatic_authentication,
            timeout: options.timeout.unwrap_or(DEFAULT_TIMEOUT).min(LONGEST_TIMEOUT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_public_cloud_and_the_developer_app() {
        let settings = Settings::new(&CredentialOptions::default(), None).unwrap();
        assert_eq!(settings.host.as_str(), "login.microsoftonline.com");
        assert_eq!(settings.client_id.as_str(), AZURE_DEVELOPER_APP);
        assert_eq!(settings.tenant, Tenant::Organizations);
        assert_eq!(settings.timeout, Duration::from_secs(300));
        let options = CredentialOptions { timeout: Some(Duration::MAX), ..Default::default() };
        assert!(Settings::new(&options, None).unwrap().timeout < Duration::MAX);
    }

    #[test]
    fn an_option_goes_before_the_environment() {
        let environment = Some("https://login.microsoftonline.us");
        let host = |authority: Option<&str>| {
            let authority = authority.map(str::to_owned);
            let options = CredentialOptions { authority, ..CredentialOptions::default() };
            Settings::new(&options, environment).unwrap().host.as_str().to_owned()
        };
        assert_eq!(host(None), "login.microsoftonline.us");
        assert_eq!(host(Some("https://localhost:8443")), "localhost:8443");
    }

    #[test]
    fn a_wrong_option_is_named() {
        let options = CredentialOptions::default;
        let bad = |text: &str| Some(text.to_owned());
        for (options, field) in [
            (CredentialOptions { authority: bad("http://x"), ..options() }, "authority"),
            (CredentialOptions { tenant_id: bad("a b"), ..options() }, "tenant_id"),
            (CredentialOptions { client_id: bad("a/b"), ..options() }, "client_id"),
            (CredentialOptions { redirect_uri: bad("nowhere"), ..options() }, "redirect_uri"),
            (CredentialOptions { home_account_id: bad("oid"), ..options() }, "account"),
        ] {
            let error = Settings::new(&options, None).unwrap_err();
            let expected = keybearer_core::ErrorKind::InvalidRequest { field: field.into() };
            assert_eq!(*error.kind(), expected);
        }
    }
}
