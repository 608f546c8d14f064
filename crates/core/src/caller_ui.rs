use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

use crate::{Account, Error, HomeAccountId, Missing, PastedAnswer, Result};

/// The caller's side of a sign-in: its terminal and its desktop.
///
/// A broker runs the sign-in, because refresh tokens do not leave it (promise I1). But it may have
/// been started in another session, without a display, while the person is at the caller's terminal.
/// So a caller may pass a `CallerUi` with its request, and the broker shows through it what it
/// cannot show itself.
///
/// Dropping the future of a call removes what it shows. The methods have no deadline of their own:
/// the request has one (promise I7).
#[async_trait]
pub trait CallerUi: Send + Sync + fmt::Debug {
    /// What the caller's side can do. Always returns the same value.
    fn abilities(&self) -> Abilities;

    /// Opens a browser in the caller's environment. Returns once the browser has started or failed to
    /// start, not when the person closes it.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if no page was shown.
    async fn open_browser(&self, url: &Url) -> Result<()>;

    /// Shows the person that the sign-in continues in a browser. The default shows nothing.
    async fn point_to_browser(&self) {}

    /// Lets the person choose among connected accounts.
    ///
    /// # Errors
    /// `Cancelled` if the person gives up; `Unavailable(UserInterface)` by default.
    async fn choose_account(&self, accounts: &[Account]) -> Result<AccountPick> {
        let _ = accounts;
        Err(no_terminal())
    }

    /// Shows a code to enter on any device, RFC 8628 §3.3, and returns once it is shown.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` by default.
    async fn show_user_code(&self, code: &UserCode) -> Result<()> {
        let _ = code;
        Err(no_terminal())
    }

    /// Shows an address to open in a browser on any machine, and returns once it is shown.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` by default.
    async fn show_address(&self, address: &SignInAddress) -> Result<()> {
        let _ = address;
        Err(no_terminal())
    }

    /// Waits until the person pastes the last address of the browser. `complaint` says what was wrong
    /// with the address pasted before.
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
pub struct Abilities {
    /// A graphical browser can be opened.
    pub browser: bool,
    /// The terminal, if there is one with a person at it.
    pub terminal: Option<Terminal>,
}

/// A terminal with a person at it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Terminal {
    /// The SSH session of the person, if there is one.
    pub ssh: Option<SshSession>,
}

/// An SSH session, as far as the server's side knows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SshSession {
    /// The arguments `ssh` needs to connect to this machine: `user@host`, after `-p PORT` if need be.
    pub destination: String,
}

/// What the person chose in the account picker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccountPick {
    /// One of the accounts offered.
    Known(HomeAccountId),
    /// Another account, to be entered at the provider.
    Another,
}

/// A code to enter on any device, RFC 8628 §3.2.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode {
    /// The code.
    pub user_code: String,
    /// The page to enter it on.
    pub verification_uri: Url,
    /// How long it is valid.
    pub expires_in: Duration,
}

/// Leaves the code out: a person who knows it could complete the sign-in with another account.
impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCode")
            .field("verification_uri", &self.verification_uri.as_str())
            .finish_non_exhaustive()
    }
}

/// An address to sign in at, in a browser on any machine.
#[derive(Clone, PartialEq, Eq)]
pub struct SignInAddress {
    /// The address.
    pub url: Url,
    /// The loopback port of this machine that receives the answer. A browser on another machine needs
    /// a forwarded port to reach it; otherwise the answer has to be pasted.
    pub port: Option<u16>,
}

/// Leaves the query out, which holds the state of the request.
impl fmt::Debug for SignInAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str();
        f.debug_struct("SignInAddress").field("host", &host).field("port", &self.port).finish()
    }
}

/// How a caller wants the person to sign in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum SignInMethod {
    /// The method that suits the person's session.
    #[default]
    Auto,
    /// In a browser on the person's desktop; fail if there is none.
    Browser,
    /// With a code to enter on another device, RFC 8628.
    DeviceCode,
    /// In a browser on any machine; the person pastes its last address.
    Paste,
}

/// How the person can be asked, and how they want to sign in.
#[derive(Clone, Debug, Default)]
pub struct SignInOptions {
    /// The method.
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
