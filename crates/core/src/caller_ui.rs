use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

use crate::{Account, Error, HomeAccountId, Missing, PastedAnswer, Result};

/// The caller's side of a sign-in: its terminal and its desktop.
///
/// A broker runs the sign-in, because tokens do not leave it (invariant I1). But it may have been
/// started elsewhere, long ago, and the person sits where the caller is. So a caller may offer a
/// caller_ui with its request, and the broker shows through it what it cannot show itself.
///
/// A call that is dropped takes back what it shows. There is no deadline in here: the request has
/// one (invariant I7).
#[async_trait]
pub trait CallerUi: Send + Sync + fmt::Debug {
    /// What it can do. Stays the same as long as the value lives.
    fn abilities(&self) -> Abilities;

    /// Opens a browser in the caller's environment. Ends when the browser has had the time to fail,
    /// not when the person closes it.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if no page was shown.
    async fn open_browser(&self, url: &Url) -> Result<()>;

    /// Tells the person that the sign-in goes on in a browser. By default nothing is told.
    async fn point_to_browser(&self) {}

    /// Lets the person choose among connected accounts.
    ///
    /// # Errors
    /// `Cancelled` if the person gives up; `Unavailable(UserInterface)` by default.
    async fn choose_account(&self, accounts: &[Account]) -> Result<AccountPick> {
        let _ = accounts;
        Err(no_terminal())
    }

    /// Shows a code to type in on any device, RFC 8628 §3.3, and ends once it is shown.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` by default.
    async fn show_user_code(&self, code: &UserCode) -> Result<()> {
        let _ = code;
        Err(no_terminal())
    }

    /// Shows an address to sign in at, in a browser anywhere, and ends once it is shown.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` by default.
    async fn show_address(&self, address: &SignInAddress) -> Result<()> {
        let _ = address;
        Err(no_terminal())
    }

    /// Waits until the person pastes the address that the browser ended at. `complaint` says what
    /// was wrong with the last one.
    ///
    /// # Errors
    /// `Cancelled` if the person gives up; `Unavailable(UserInterface)` by default.
    async fn paste(&self, complaint: Option<&str>) -> Result<PastedAnswer> {
        let _ = complaint;
        Err(no_terminal())
    }
}

/// The error of a request that needs a terminal with a person at it, where there is none.
#[must_use]
pub fn no_terminal() -> Error {
    let message = "could not ask the person: the program has no terminal";
    Error::unavailable(Missing::UserInterface, message)
        .with_hint("run `keybearer login` in a terminal")
}

/// What a [`CallerUi`] can do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain data, with a default")]
pub struct Abilities {
    /// A graphical browser can be opened.
    pub browser: bool,
    /// There is a terminal with a person at it.
    pub terminal: Option<Terminal>,
}

/// A terminal with a person at it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain data, with a default")]
pub struct Terminal {
    /// How the person came here, if it was over SSH.
    pub ssh: Option<SshSession>,
}

/// A session over SSH, as the server's side knows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain data, with a default")]
pub struct SshSession {
    /// What `ssh` was told to come here, as far as it can be known: `user@host`.
    pub destination: String,
}

/// What the person chose.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "the engine handles every choice")]
pub enum AccountPick {
    /// One of the accounts offered.
    Known(HomeAccountId),
    /// Another one, to be named to the provider.
    Another,
}

/// A code to type in on any device, RFC 8628 §3.2.
#[derive(Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct UserCode {
    /// What the person types in.
    pub user_code: String,
    /// Where.
    pub verification_uri: Url,
    /// How long it is valid.
    pub expires_in: Duration,
}

/// Without the code: whoever has it can sign this sign-in in as somebody else.
impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCode")
            .field("verification_uri", &self.verification_uri.as_str())
            .finish_non_exhaustive()
    }
}

/// An address to sign in at, in a browser anywhere.
#[derive(Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct SignInAddress {
    /// The address.
    pub url: Url,
    /// The loopback port of this machine where the answer is awaited. A browser on another machine
    /// needs it forwarded to there; otherwise the answer has to be pasted.
    pub port: Option<u16>,
}

/// Without the query, which ties the answer to the request.
impl fmt::Debug for SignInAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str();
        f.debug_struct("SignInAddress").field("host", &host).field("port", &self.port).finish()
    }
}

/// The way a caller wants the person to be signed in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(clippy::exhaustive_enums, reason = "every broker must decide about every method")]
pub enum SignInMethod {
    /// Whichever suits where the person is.
    #[default]
    Auto,
    /// In a browser on the person's desktop, or not at all.
    Browser,
    /// With a code to type in on another device, RFC 8628.
    DeviceCode,
    /// In a browser anywhere; the person pastes where it ended.
    Paste,
}

/// Where the person is, and how they want to sign in.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain data, with a default")]
pub struct SignInOptions {
    /// The way to sign in.
    pub method: SignInMethod,
    /// The caller's side of the sign-in, if it has one.
    pub caller_ui: Option<Arc<dyn CallerUi>>,
}

impl SignInOptions {
    /// What the caller's side can do.
    #[must_use]
    pub fn abilities(&self) -> Abilities {
        self.caller_ui.as_ref().map(|caller_ui| caller_ui.abilities()).unwrap_or_default()
    }
}
