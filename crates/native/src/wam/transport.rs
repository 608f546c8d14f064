use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use keybearer_core::{AccessToken, ClientId, CorrelationId};

/// Web Account Manager as we use it, in plain data: one function for each call across the boundary.
///
/// Everything above is the same on every system and tested on Linux; the implementation for Windows
/// below it (`winrt`) only moves values. Every future may be dropped at any moment, which cancels
/// the operation in Windows; none has a time limit.
#[async_trait]
pub(crate) trait Transport: Send + Sync + fmt::Debug {
    /// The provider's own authority, or `None` if Windows has no such provider.
    async fn provider(&self, provider: &Provider) -> Result<Option<String>, SystemError>;

    /// The accounts an app may know about.
    async fn accounts(
        &self,
        provider: &Provider,
        client_id: &ClientId,
    ) -> Result<Listing, SystemError>;

    /// A token without any window. No such provider is an answer with the status
    /// `AccountProviderNotAvailable`, no such account (any more) one with
    /// `UserInteractionRequired`.
    async fn silent(&self, request: &Request) -> Result<Answer, SystemError>;

    /// As [`silent`](Self::silent), but Windows may show a dialogue above the parent window.
    async fn interactive(&self, request: &Request) -> Result<Answer, SystemError>;

    /// Takes the account from an app; `false` if Windows does not know it any more.
    async fn sign_out(
        &self,
        provider: &Provider,
        account_id: &str,
        client_id: &ClientId,
    ) -> Result<bool, SystemError>;
}

/// The issuer of tokens, in Web Account Manager's terms: an id and, for one id, one of several
/// authorities.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Provider {
    pub(crate) id: &'static str,
    pub(crate) authority: Option<String>,
}

/// A `WebTokenRequest`, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) provider: Provider,
    /// Space separated.
    pub(crate) scope: String,
    pub(crate) client_id: ClientId,
    pub(crate) prompt: PromptType,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) correlation_id: CorrelationId,
    /// The `WebAccount.Id`; without it the provider decides, or asks.
    pub(crate) account_id: Option<String>,
    /// A token that a resource refused: if Windows returns it again, it is removed from the cache of
    /// Windows, and the request is made once more.
    pub(crate) refused: Option<AccessToken>,
}

/// `WebTokenRequestPromptType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PromptType {
    Default,
    ForceAuthentication,
}

/// A `WebAccount`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct WebAccount {
    pub(crate) id: String,
    pub(crate) user_name: String,
    pub(crate) properties: BTreeMap<String, String>,
}

/// What an app may know about the provider's accounts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Listing {
    Accounts(Vec<WebAccount>),
    /// The provider does not list accounts, such as that of Microsoft accounts.
    Refused,
    /// Windows has no such provider.
    NoProvider,
    /// The provider cannot list accounts now.
    Failed(ProviderError),
}

/// A `WebTokenRequestResult`.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// `WebTokenRequestStatus`, as it came.
    pub(crate) status: i32,
    pub(crate) error: Option<ProviderError>,
    pub(crate) response: Option<Response>,
}

/// A `WebProviderError`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ProviderError {
    pub(crate) code: u32,
    pub(crate) message: String,
}

/// A `WebTokenResponse`.
#[derive(Clone)]
pub(crate) struct Response {
    /// The token; of a Microsoft account, a form with the token among other members.
    pub(crate) token: AccessToken,
    pub(crate) account: Option<WebAccount>,
    /// Holds an id token, among others.
    pub(crate) properties: BTreeMap<String, String>,
}

/// A call that failed as such: an `HRESULT`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SystemError {
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x} {}", self.code, self.message)
    }
}

impl std::error::Error for SystemError {}

/// Names only: the values are secret.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties: Vec<&String> = self.properties.keys().collect();
        f.debug_struct("Response").field("properties", &properties).finish_non_exhaustive()
    }
}
