use crate::{AccessToken, Account, IdToken, ScopeSet, SsoCookieContent, Timestamp};

/// How a token is presented to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(clippy::exhaustive_enums, reason = "callers must decide about every type")]
pub enum TokenType {
    /// Whoever has it may use it, RFC 6750.
    #[default]
    Bearer,
    /// Bound to a key; the token is a finished signed HTTP request.
    ProofOfPossession,
}

/// Where a token came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::exhaustive_enums, reason = "callers show it")]
pub enum TokenSource {
    /// It was there already.
    Cache,
    /// A refresh token was redeemed.
    Refresh,
    /// A person signed in.
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

    /// Reads what [`as_str`](Self::as_str) wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Cache, Self::Refresh, Self::SignIn]
            .into_iter()
            .find(|source| source.as_str() == text)
    }
}

/// An access token and what is known about it. Cloning shares the secrets.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "plain data that every broker fills in whole")]
pub struct Token {
    /// The secret.
    pub access_token: AccessToken,
    /// How to present it.
    pub token_type: TokenType,
    /// When it stops being valid, by this machine's clock.
    pub expires_on: Timestamp,
    /// From when on it is worth renewing, by this machine's clock.
    pub refresh_on: Option<Timestamp>,
    /// What was granted; at least what was asked for.
    pub granted_scopes: ScopeSet,
    /// Whose it is.
    pub account: Account,
    /// The statement about the person that came with it.
    pub id_token: Option<IdToken>,
    /// Where it came from.
    pub source: TokenSource,
}

/// A cookie that signs a browser in, \[MS-OAPXBC\] §3.2.5.1.3.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct SsoCookie {
    /// Name of the cookie or header.
    pub name: String,
    /// The secret.
    pub content: SsoCookieContent,
    /// Whose session it is.
    pub account: Account,
}
