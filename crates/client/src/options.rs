use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{
    AZURE_DEVELOPER_APP, AuthorityHost, ClientId, Error, HomeAccountId, Result, Tenant,
};
use keybearer_engine::{Http, SignInUi};
use keybearer_native::ParentWindow;
use url::Url;

use crate::chain::BrokerChoice;
use crate::record::AuthenticationRecord;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// A longer limit counts as this one, so that adding it to a moment cannot overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a caller says about a credential. `None`, empty and `false` mean the default.
#[derive(Clone, Debug, Default)]
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
    /// The account of an earlier sign-in, `object id . tenant id`. Takes precedence over `login_hint`.
    pub home_account_id: Option<String>,
    /// An earlier sign-in. Its account takes precedence over `home_account_id` and `login_hint`, its
    /// app and authority over `client_id` and `authority`; its directory is used if `tenant_id` names
    /// none.
    pub authentication_record: Option<AuthenticationRecord>,
    /// Where the app's sign-in answers go; default `http://localhost` with any port.
    pub redirect_uri: Option<String>,
    /// Use the account that signed in last without asking which. Default false: with several
    /// connected accounts the person chooses.
    pub use_default_broker_account: bool,
    /// Leave it to the program when a person is asked: fail with `InteractionRequired`, until it
    /// calls `authenticate`. Default false.
    pub disable_automatic_authentication: bool,
    /// Never ask a person, not even in `authenticate`: fail with `Unavailable`, so that a chain
    /// tries its next credential. Default false.
    pub disable_interactive_fallback: bool,
    /// Trust the authority's host without asking Microsoft about it, in this process. A broker
    /// trusts only what its own settings say. Default false.
    pub disable_instance_discovery: bool,
    /// Let personal accounts pass through to an app that is registered for organizations only. For
    /// a few of Microsoft's own apps. Default false.
    pub enable_msa_passthrough: bool,
    /// Name accounts, directories and apps in the log lines (`tracing`, level debug). They are
    /// personal data, never secrets (promise I5). Default false: correlation ids only.
    pub enable_support_logging: bool,
    /// The window a broker's window belongs to.
    pub parent_window: ParentWindow,
    /// How long one request may take in all, a person's sign-in included; default 300 s. Zero ends
    /// every request that the cache cannot answer; more than a year means a year.
    pub timeout: Option<Duration>,
    /// Whether to use a broker. Default: if there is one.
    pub broker: BrokerChoice,
    /// Where else the broker's program may be installed, on Linux: for languages whose packages go
    /// to separate places. Default: only beside this program, and on `PATH`.
    pub program_directory: Option<PathBuf>,
    /// What requests to the provider go through when they are made from this process; a broker uses
    /// its own. Default: HTTPS through the proxy of `HTTPS_PROXY`.
    pub http: Option<Arc<dyn Http>>,
    /// What takes the person through a sign-in that is made from this process; a broker has its
    /// own. Default: the system browser, with an answer at a loopback address.
    pub sign_in_ui: Option<Arc<dyn SignInUi>>,
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
    pub(crate) prompts: PromptPolicy,
    pub(crate) enable_msa_passthrough: bool,
    pub(crate) enable_support_logging: bool,
    pub(crate) timeout: Duration,
}

/// When a person is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PromptPolicy {
    /// When there is no other way to a token.
    Automatic,
    /// When the program says so.
    OnDemand,
    /// Not at all.
    Never,
}

impl Settings {
    /// Parses the options; `authority_host` is the environment's `AZURE_AUTHORITY_HOST`.
    pub(crate) fn new(options: &CredentialOptions, authority_host: Option<&str>) -> Result<Self> {
        let record = options.authentication_record.as_ref();
        let host = match (record, text(&options.authority), authority_host.and_then(filled)) {
            (Some(record), ..) => record.authority.clone(),
            (None, Some(host), _) | (None, None, Some(host)) => AuthorityHost::parse(host)?,
            (None, None, None) => AuthorityHost::public_cloud(),
        };
        let tenant = match (text(&options.tenant_id), record) {
            (Some(tenant), _) => Tenant::parse(tenant)?,
            (None, Some(record)) => Tenant::parse(record.tenant_id.as_str())?,
            (None, None) => host.default_tenant(),
        };
        let client_id = match record {
            Some(record) => record.client_id.clone(),
            None => ClientId::parse(text(&options.client_id).unwrap_or(AZURE_DEVELOPER_APP))?,
        };
        let home_account_id = match record {
            Some(record) => Some(record.home_account_id.clone()),
            None => text(&options.home_account_id).map(HomeAccountId::parse).transpose()?,
        };
        Ok(Self {
            host,
            tenant,
            additionally_allowed_tenants: options.additionally_allowed_tenants.clone(),
            client_id,
            login_hint: text(&options.login_hint).map(str::to_owned),
            home_account_id,
            redirect_uri: text(&options.redirect_uri).map(redirect_uri).transpose()?,
            use_default_broker_account: options.use_default_broker_account,
            prompts: match options {
                CredentialOptions { disable_interactive_fallback: true, .. } => PromptPolicy::Never,
                CredentialOptions { disable_automatic_authentication: true, .. } => {
                    PromptPolicy::OnDemand
                }
                _ => PromptPolicy::Automatic,
            },
            enable_msa_passthrough: options.enable_msa_passthrough,
            enable_support_logging: options.enable_support_logging,
            timeout: options.timeout.unwrap_or(DEFAULT_TIMEOUT).min(LONGEST_TIMEOUT),
        })
    }
}

fn text(value: &Option<String>) -> Option<&str> {
    value.as_deref().and_then(filled)
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn redirect_uri(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|error| {
        Error::invalid_request("redirect_uri", "the redirect URI is not a URL").with_source(error)
    })
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
    fn a_directory_with_a_host_of_its_own_needs_no_name() {
        let settings = Settings::new(&CredentialOptions::default(), Some("contoso.ciamlogin.com"));
        assert_eq!(settings.unwrap().tenant.as_str(), "contoso.onmicrosoft.com");
    }

    #[test]
    fn a_record_goes_before_the_options_except_for_the_directory() {
        let record = AuthenticationRecord::deserialize(
            r#"{"authority":"login.microsoftonline.us","clientId":"app","homeAccountId":"o.t",
                "tenantId":"fabrikam.example","username":"u","version":"1.0"}"#,
        );
        let text = |text: &str| Some(text.to_owned());
        let options = CredentialOptions {
            authentication_record: Some(record.unwrap()),
            authority: text("login.microsoftonline.com"),
            client_id: text("other"),
            home_account_id: text("x.y"),
            ..CredentialOptions::default()
        };
        let settings = Settings::new(&options, Some("localhost")).unwrap();
        assert_eq!(settings.host.as_str(), "login.microsoftonline.us");
        assert_eq!(settings.client_id.as_str(), "app");
        assert_eq!(settings.home_account_id.unwrap().as_str(), "o.t");
        assert_eq!(settings.tenant.as_str(), "fabrikam.example");
        let options = CredentialOptions { tenant_id: text("contoso.example"), ..options };
        assert_eq!(Settings::new(&options, None).unwrap().tenant.as_str(), "contoso.example");
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
