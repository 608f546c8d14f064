use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use crate::{
    AccessToken, AccountChoice, Authority, Caller, Capabilities, Claims, ClientId, CorrelationId,
    Error, HomeAccountId, Missing, Result, ScopeSet, SignInOptions,
};

/// What every token request says.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct TokenParameters {
    /// Who is to issue the token.
    pub authority: Authority,
    /// The app that asks.
    pub client_id: ClientId,
    /// Where the app's sign-in answers go; `None` lets the broker choose a loopback address.
    pub redirect_uri: Option<Url>,
    /// What the token is for.
    pub scopes: ScopeSet,
    /// For whom.
    pub account: AccountChoice,
    /// A claims challenge to satisfy. Tokens cached without it are not used.
    pub claims: Option<Claims>,
    /// What the client can do.
    pub capabilities: Capabilities,
    /// A token that the resource refused and that must not be served again.
    pub access_token_to_renew: Option<AccessToken>,
    /// What the token is to be bound to; `None` for a bearer token.
    pub proof_of_possession: Option<ProofOfPossession>,
    /// Further parameters for the authorization endpoint.
    pub extra_query: BTreeMap<String, String>,
    /// Ties log lines and errors together.
    pub correlation_id: CorrelationId,
    /// How long the caller is ready to wait, from now (invariant I7).
    pub timeout: Duration,
    /// Who asks.
    pub caller: Caller,
}

impl TokenParameters {
    /// For brokers that know bearer tokens only: one in place of a bound token would be accepted
    /// from whoever has it.
    ///
    /// # Errors
    /// `Unavailable(Key)` if a token bound to a key is asked for.
    pub fn check_bearer(&self) -> Result<()> {
        match self.proof_of_possession {
            None => Ok(()),
            Some(_) => {
                let message =
                    "could not get a proof-of-possession token: this broker binds none to a key";
                Err(Error::unavailable(Missing::Key, message).with_hint("ask for a bearer token"))
            }
        }
    }
}

/// Which key a token is to be bound to, and what is made of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::exhaustive_enums, reason = "a broker must not hand out the other kind")]
pub enum ProofOfPossession {
    /// A key of the broker's. The token handed out is a finished signed HTTP request (SHR), good
    /// for this request only.
    Signed(HttpRequestToSign),
    /// A key of the app's, which signs its requests itself. The token is the provider's.
    BoundTo {
        /// The key's SHA-256 thumbprint, base64url, RFC 7638.
        key_id: String,
    },
}

/// The HTTP request that a signature is to be about, draft-ietf-oauth-signed-http-request §3.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct HttpRequestToSign {
    /// Upper-case method; signed as `m`.
    pub method: Option<String>,
    /// `host[:port]`; signed as `u`.
    pub host: Option<String>,
    /// Path, and query if there is one; signed as `p` and `q`.
    pub path: Option<String>,
    /// The resource server's nonce; without one the signature carries a random one.
    pub nonce: Option<String>,
    /// JSON to be signed along as `client_claims`.
    pub client_claims: Option<String>,
}

/// Asks for a token without any user interface.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct SilentRequest {
    /// What for.
    pub parameters: TokenParameters,
}

/// Asks for a token; a person may be asked to sign in.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct InteractiveRequest {
    /// What for.
    pub parameters: TokenParameters,
    /// How insistently the person is asked.
    pub prompt: Prompt,
    /// Where the person is, and how they want to sign in.
    pub sign_in_options: SignInOptions,
}

impl InteractiveRequest {
    /// A request that leaves it to the broker how the person is asked.
    #[must_use]
    pub fn new(parameters: TokenParameters, prompt: Prompt) -> Self {
        Self { parameters, prompt, sign_in_options: SignInOptions::default() }
    }
}

/// When a person is asked, OpenID Connect Core §3.1.2.1 `prompt`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(clippy::exhaustive_enums, reason = "every broker must decide about every prompt")]
pub enum Prompt {
    /// Only if there is no other way to a token.
    #[default]
    IfNeeded,
    /// Always let the person choose the account.
    SelectAccount,
    /// Always ask for credentials.
    Login,
    /// Always ask for consent.
    Consent,
}

impl Prompt {
    /// The value of the `prompt` parameter, if one is sent.
    #[must_use]
    pub const fn as_parameter(self) -> Option<&'static str> {
        match self {
            Self::IfNeeded => None,
            Self::SelectAccount => Some("select_account"),
            Self::Login => Some("login"),
            Self::Consent => Some("consent"),
        }
    }

    /// Reads the parameter; unknown words count as `IfNeeded`.
    #[must_use]
    pub fn from_parameter(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "select_account" => Self::SelectAccount,
            "login" => Self::Login,
            "consent" => Self::Consent,
            _ => Self::IfNeeded,
        }
    }
}

/// Asks for the connected accounts.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct AccountsRequest {
    /// The app that asks, if it says.
    pub client_id: Option<ClientId>,
    /// Ties log lines and errors together.
    pub correlation_id: CorrelationId,
    /// How long the caller is ready to wait, from now.
    pub timeout: Duration,
}

/// Asks to forget an account and all its tokens.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct RemoveAccountRequest {
    /// Which account.
    pub home_account_id: HomeAccountId,
    /// Ties log lines and errors together.
    pub correlation_id: CorrelationId,
    /// How long the caller is ready to wait, from now.
    pub timeout: Duration,
}

/// Asks for a browser's single sign-on cookie, \[MS-OAPXBC\] §3.2.5.1.3.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct SsoCookieRequest {
    /// Whose session.
    pub account: AccountChoice,
    /// The page the cookie is for.
    pub sso_url: Option<Url>,
    /// Ties log lines and errors together.
    pub correlation_id: CorrelationId,
    /// How long the caller is ready to wait, from now.
    pub timeout: Duration,
}

/// Asks to sign an HTTP request with the key an account's tokens are bound to.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct SignHttpRequest {
    /// The app that asks.
    pub client_id: Option<ClientId>,
    /// Whose key.
    pub account: AccountChoice,
    /// What is to be signed.
    pub http: HttpRequestToSign,
    /// Ties log lines and errors together.
    pub correlation_id: CorrelationId,
    /// How long the caller is ready to wait, from now.
    pub timeout: Duration,
}

/// Ends the interactive requests of one caller that are still waiting.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "requests are built field by field")]
pub struct CancelRequest {
    /// Whose requests.
    pub caller: Caller,
}
