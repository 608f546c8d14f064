use std::collections::BTreeMap;

use url::Url;

use crate::{
    AccessToken, AccountChoice, Authority, Caller, Capabilities, Claims, ClientId, CorrelationId,
    Deadline, Error, HomeAccountId, Missing, Result, ScopeSet, SignInOptions,
};

/// The parameters of every token request.
#[derive(Clone, Debug)]
pub struct TokenParameters {
    /// The issuer of the token.
    pub authority: Authority,
    /// The app that requests the token.
    pub client_id: ClientId,
    /// Where the provider sends the answer; `None` lets the broker choose a loopback address.
    pub redirect_uri: Option<Url>,
    /// The scopes of the token.
    pub scopes: ScopeSet,
    /// The account of the token.
    pub account: AccountChoice,
    /// A claims challenge to satisfy. Tokens cached without it are not used.
    pub claims: Option<Claims>,
    /// The capabilities of the client.
    pub capabilities: Capabilities,
    /// A token that the resource refused, which must not be returned again.
    pub access_token_to_renew: Option<AccessToken>,
    /// What to bind the token to; `None` for a bearer token.
    pub proof_of_possession: Option<ProofOfPossession>,
    /// Further parameters for the authorization endpoint.
    pub extra_query: BTreeMap<String, String>,
    /// Ties log lines and errors together.
    pub correlation_id: CorrelationId,
    /// When the request must have ended (promise I7).
    pub deadline: Deadline,
    /// Who asks.
    pub caller: Caller,
}

impl TokenParameters {
    /// Checks that a bearer token is requested, for brokers that issue only these. Instead of a bound
    /// token it would be usable by any holder.
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

/// The key to bind a token to, and the form of the token.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ProofOfPossession {
    /// A key of the broker. The returned token is a finished signed HTTP request (SHR), valid for this
    /// request only.
    Signed(HttpRequestToSign),
    /// A key of the app, which signs its requests itself. The returned token is the provider's.
    BoundTo {
        /// The key's SHA-256 thumbprint, base64url, RFC 7638.
        key_id: String,
    },
}

/// The HTTP request to sign, draft-ietf-oauth-signed-http-request §3.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct HttpRequestToSign {
    /// Upper-case method; signed as `m`.
    pub method: Option<String>,
    /// `host[:port]`; signed as `u`.
    pub host: Option<String>,
    /// Path, and query if there is one; signed as `p` and `q`.
    pub path: Option<String>,
    /// The resource server's nonce; without one the signature contains a random nonce.
    pub nonce: Option<String>,
    /// JSON to sign as `client_claims`.
    pub client_claims: Option<String>,
}

/// Requests a token without a user interface.
#[derive(Clone, Debug)]
pub struct SilentRequest {
    /// The parameters.
    pub parameters: TokenParameters,
}

/// Requests a token; the person may be prompted to sign in.
#[derive(Clone, Debug)]
pub struct InteractiveRequest {
    /// The parameters.
    pub parameters: TokenParameters,
    /// When the provider asks the person.
    pub prompt: Prompt,
    /// How the person can be asked, and how they want to sign in.
    pub sign_in_options: SignInOptions,
}

impl InteractiveRequest {
    /// A request with the broker's default way to sign in.
    #[must_use]
    pub fn new(parameters: TokenParameters, prompt: Prompt) -> Self {
        Self { parameters, prompt, sign_in_options: SignInOptions::default() }
    }
}

/// When the provider asks the person, OpenID Connect Core §3.1.2.1 `prompt`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Prompt {
    /// Only if it cannot issue a token otherwise.
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

    /// Parses the parameter; unknown values mean `IfNeeded`.
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

/// Requests the connected accounts.
#[derive(Clone, Debug)]
pub struct AccountsRequest {
    /// The app that asks, if it says.
    pub client_id: Option<ClientId>,
    /// Ties log lines and errors together.
    pub correlation_id: CorrelationId,
    /// When the request must have ended.
    pub deadline: Deadline,
}

/// Requests to remove an account and all its tokens.
#[derive(Clone, Debug)]
pub struct RemoveAccountRequest {
    /// Which account.
    pub home_account_id: HomeAccountId,
    /// Ties log lines and errors together.
    pub correlation_id: CorrelationId,
    /// When the request must have ended.
    pub deadline: Deadline,
}

/// Requests a browser's single sign-on cookie, \[MS-OAPXBC\] §3.2.5.1.3.
#[derive(Clone, Debug)]
pub struct SsoCookieRequest {
    /// The account of the session.
    pub account: AccountChoice,
    /// The page the cookie is for.
    pub sso_url: Option<Url>,
    /// Ties log lines and errors together.
    pub correlation_id: CorrelationId,
    /// When the request must have ended.
    pub deadline: Deadline,
}

/// Requests a signature over an HTTP request with the key that an account's tokens are bound to.
#[derive(Clone, Debug)]
pub struct SignHttpRequest {
    /// The app that asks.
    pub client_id: Option<ClientId>,
    /// The account of the key.
    pub account: AccountChoice,
    /// The HTTP request.
    pub http: HttpRequestToSign,
    /// Ties log lines and errors together.
    pub correlation_id: CorrelationId,
    /// When the request must have ended.
    pub deadline: Deadline,
}

/// Cancels the pending interactive requests of one caller.
#[derive(Clone, Debug)]
pub struct CancelRequest {
    /// The caller of the requests.
    pub caller: Caller,
}
