use std::time::Duration;

use keybearer_client::{BrokerChoice, CredentialOptions, ParentWindow};

/// How an [`InteractiveBrowserBrokerCredential`](crate::InteractiveBrowserBrokerCredential) asks
/// for tokens. `None`, empty and `false` mean the default.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "options are built field by field with ..Default")]
pub struct InteractiveBrowserBrokerCredentialOptions {
    /// The authority's host, such as `https://login.microsoftonline.com`. Default:
    /// `AZURE_AUTHORITY_HOST`, else the public cloud.
    pub authority: Option<String>,
    /// The directory to sign in to: a GUID, a domain, `organizations`, `common` or `consumers`.
    /// Default `organizations`.
    pub tenant_id: Option<String>,
    /// Directories a request may name besides `tenant_id`; `*` allows any. Default none.
    pub additionally_allowed_tenants: Vec<String>,
    /// The app registration. Default: Microsoft's public client for Azure developer tools.
    pub client_id: Option<String>,
    /// The user principal name that is expected to sign in. Default: the only connected account,
    /// else the person chooses.
    pub login_hint: Option<String>,
    /// The home account id of an earlier sign-in; goes before `login_hint`.
    pub home_account_id: Option<String>,
    /// A redirect URI of the app registration. Default `http://localhost`, any port.
    pub redirect_uri: Option<String>,
    /// With several connected accounts, use the one that signed in last instead of asking which.
    /// Default false.
    pub use_default_broker_account: bool,
    /// Fail with [`InteractionRequired`](crate::ErrorKind::InteractionRequired) instead of asking a
    /// person. Default false.
    pub disable_automatic_authentication: bool,
    /// Trust `authority` without asking Microsoft about it, in this process; for private clouds.
    /// Default false.
    pub disable_instance_discovery: bool,
    /// The window a broker's own window belongs to. Brokers on Linux have no use for it.
    pub parent_window: ParentWindow,
    /// How long one request may take in all, a person's sign-in included. Default 300 s; zero ends
    /// every request that the credential's own cache cannot answer.
    pub timeout: Option<Duration>,
    /// Whether to use a broker. Default: if there is one.
    pub broker: BrokerChoice,
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
            redirect_uri: self.redirect_uri,
            use_default_broker_account: self.use_default_broker_account,
            disable_automatic_authentication: self.disable_automatic_authentication,
            disable_instance_discovery: self.disable_instance_discovery,
            parent_window: self.parent_window,
            timeout: self.timeout,
            broker: self.broker,
        }
    }
}
