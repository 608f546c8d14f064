use std::sync::Arc;
use std::time::Duration;

use azure_core::http::HttpClient;
use keybearer_client::{AuthenticationRecord, BrokerChoice, CredentialOptions, ParentWindow};

use crate::prompt::SignInUi;
use crate::transport::Transport;

/// Options of an [`InteractiveBrowserBrokerCredential`](crate::InteractiveBrowserBrokerCredential).
/// `None`, empty and `false` mean the default.
///
/// Compared with the keywords of `azure.identity.broker.InteractiveBrowserBrokerCredential` 1.3.0 for
/// Python:
///
/// | here | there | effect there |
/// |---|---|---|
/// | `authority`, `client_id`, `redirect_uri` | the same | the same |
/// | `tenant_id`, `additionally_allowed_tenants` | the same | with the default `organizations`, requests may name no other directory |
/// | `login_hint` | the same | passed on, but the account picker is shown nevertheless |
/// | `home_account_id` | none | |
/// | `authentication_record` | the same | finds accounts in the app's cache only |
/// | `use_default_broker_account` | the same | documented for Windows and WSL only |
/// | `disable_automatic_authentication` | the same | also disables silent requests to the broker |
/// | `disable_interactive_fallback` | the same, not documented | without `use_default_broker_account` every request fails |
/// | `disable_instance_discovery` | the same | the same |
/// | `enable_msa_passthrough` | the same | the same |
/// | `enable_support_logging` | the same | logs personal data |
/// | `parent_window` | `parent_window_handle`, a number or an object | without one, the broker is not used on Linux and macOS, and the request fails on Windows |
/// | `timeout` | `timeout`, seconds | limits only the sign-in with the browser; the wait for a broker has no limit |
/// | `broker` | none | a broker if it starts, otherwise the browser |
/// | `http_client` | `transport` | the same |
/// | `sign_in_ui` | none | |
/// | none | `cache_persistence_options` | the broker keeps the tokens here |
#[derive(Clone, Debug, Default)]
pub struct InteractiveBrowserBrokerCredentialOptions {
    /// The authority's host, such as `https://login.microsoftonline.com`. Default:
    /// `AZURE_AUTHORITY_HOST`, else the public cloud.
    pub authority: Option<String>,
    /// The directory to sign in to: a GUID, a domain, `organizations`, `common` or `consumers`.
    /// Default: the one of `authentication_record`, else `organizations`.
    pub tenant_id: Option<String>,
    /// Directories a request may name besides `tenant_id`; `*` allows any. Default: none if
    /// `tenant_id` is one directory, else any.
    pub additionally_allowed_tenants: Vec<String>,
    /// The app registration. Default: Microsoft's public client for Azure developer tools.
    pub client_id: Option<String>,
    /// The user principal name that is expected to sign in. If that account is connected, it is used
    /// without prompting. Otherwise the name is filled in, and the person may choose another account.
    /// Default: the only connected account, otherwise the person chooses.
    pub login_hint: Option<String>,
    /// The home account id of an earlier sign-in, which takes precedence over `login_hint`. No other
    /// account is accepted.
    pub home_account_id: Option<String>,
    /// The record of an earlier sign-in, from
    /// [`authenticate`](crate::InteractiveBrowserBrokerCredential::authenticate) or an Azure SDK. Its
    /// account, app and authority take precedence over the options for these. No other account is
    /// accepted. Default: none.
    pub authentication_record: Option<AuthenticationRecord>,
    /// A redirect URI of the app registration. Default `http://localhost`, any port.
    pub redirect_uri: Option<String>,
    /// With several connected accounts, use the one that signed in last instead of asking which.
    /// Default false.
    pub use_default_broker_account: bool,
    /// Fail with [`InteractionRequired`](crate::ErrorKind::InteractionRequired) instead of asking a
    /// person, until the program calls
    /// [`authenticate`](crate::InteractiveBrowserBrokerCredential::authenticate). Default false.
    pub disable_automatic_authentication: bool,
    /// Never ask a person, not even when `authenticate` is called: fail with
    /// [`Unavailable`](crate::ErrorKind::Unavailable), so that a chain continues. Default false.
    pub disable_interactive_fallback: bool,
    /// Trust `authority` in this process without asking Microsoft about it; for private clouds. If a
    /// broker does not trust it, this process signs in instead. On Windows and in WSL it is an error.
    /// Default false.
    pub disable_instance_discovery: bool,
    /// Allow personal accounts for an app that is registered for organizations only; for a few apps of
    /// Microsoft. Default false.
    pub enable_msa_passthrough: bool,
    /// Log accounts, directories and apps (`tracing`, level debug), which are personal data. Secrets
    /// are never logged. Default false: correlation ids only.
    pub enable_support_logging: bool,
    /// The parent of the broker's window. Brokers on Linux ignore it. Default: the console's window if
    /// there is one, otherwise the desktop.
    pub parent_window: ParentWindow,
    /// How long one request may take, including a sign-in. Default 300 s, at most a year. With zero,
    /// every request fails that the credential's cache cannot answer.
    pub timeout: Option<Duration>,
    /// Whether to use a broker. Default: if there is one.
    pub broker: BrokerChoice,
    /// The HTTP client for requests that this process makes to the provider: one of the Azure SDK,
    /// such as a `reqwest::Client` with its certificates and proxy. It must not follow redirects. A
    /// broker does not use it. Default: HTTPS with the system's certificates or those of
    /// `SSL_CERT_FILE`, through the proxy of `HTTPS_PROXY`.
    pub http_client: Option<Arc<dyn HttpClient>>,
    /// The user interface for sign-ins that this process runs, such as a window of the app. A broker
    /// does not use it. Default: the system browser, with the answer at a loopback address.
    pub sign_in_ui: Option<Arc<dyn SignInUi>>,
}

impl InteractiveBrowserBrokerCredentialOptions {
    pub(crate) fn shared(self) -> CredentialOptions {
        CredentialOptions {
            authority: self.authority,
            tenant_id: self.tenant_id,
            additionally_allowed_tenants: self.additionally_allowed_tenants,
            client_id: self.client_id,
            login_hint: self.login_hint,
            home_account_id: self.home_account_id,
            authentication_record: self.authentication_record,
            redirect_uri: self.redirect_uri,
            use_default_broker_account: self.use_default_broker_account,
            disable_automatic_authentication: self.disable_automatic_authentication,
            disable_interactive_fallback: self.disable_interactive_fallback,
            disable_instance_discovery: self.disable_instance_discovery,
            enable_msa_passthrough: self.enable_msa_passthrough,
            enable_support_logging: self.enable_support_logging,
            parent_window: self.parent_window,
            timeout: self.timeout,
            broker: self.broker,
            http: self.http_client.map(Transport::shared),
            sign_in_ui: self.sign_in_ui,
            ..CredentialOptions::default()
        }
    }
}
