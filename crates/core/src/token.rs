use crate::{AccessToken, Account, IdToken, ScopeSet, SsoCookieContent, Timestamp};

/// How a token is presented to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TokenType {
    /// Any holder of the token may use it, RFC 6750.
    #[default]
    Bearer,
    /// The token is bound to a key and is a finished signed HTTP request.
    ProofOfPossession,
}

/// Where a token came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenSource {
    /// From a cache.
    Cache,
    /// From redeeming a refresh token.
    Refresh,
    /// From a sign-in.
    SignIn,
}

impl TokenSource {
    /// `cache`, `refresh` or `sign-in`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Refresh => "refresh",
            Self::SignIn => "sign-in",
        }
    }

    /// Parses the text of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Cache, Self::Refresh, Self::SignIn]
            .into_iter()
            .find(|source| source.as_str() == text)
    }
}

/// An access token and what is known about it. Cloning shares the secrets.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub access_token: AccessToken,
    /// How to present it.
    pub token_type: TokenType,
    /// When the token expires, by this machine's clock.
    pub expires_on: Timestamp,
    /// When the token should be renewed, by this machine's clock.
    pub refresh_on: Option<Timestamp>,
    /// The granted scopes; at least the requested ones.
    pub granted_scopes: ScopeSet,
    /// The account it was issued to.
    pub account: Account,
    /// The id token issued with it.
    pub id_token: Option<IdToken>,
    /// Where it came from.
    pub source: TokenSource,
}

/// A cookie that signs a browser in, \[MS-OAPXBC\] §3.2.5.1.3.
#[derive(Clone, Debug)]
pub struct SsoCookie {
    /// Name of the cookie or header.
    pub name: String,
    /// The content.
    pub content: SsoCookieContent,
    /// The account of the session.
    pub account: Account,
}
