use clap::Args;
use keybearer_core::{AccountChoice, Broker, InteractiveRequest, Prompt, Result, SignInMethod};

use url::Url;

use super::below_help;
use crate::output;
use crate::request::{Limit, Target};
use crate::session::{broker, browser_broker, run};
use crate::terminal::sign_in_options;

const EXAMPLE: &str = "\
Example: sign in to one directory
  keybearer login --tenant contoso.example";

/// Sign an account in
///
/// The broker keeps the account, so programs get tokens for it from then on. With a display the
/// browser opens. Without one, an address to open elsewhere is shown, and the answer comes back
/// through a forwarded port (ssh -L) or is pasted here.
#[derive(Args, Debug)]
#[command(after_help = below_help(EXAMPLE))]
pub(crate) struct Login {
    #[command(flatten)]
    target: Target,
    /// Scope to ask for; repeat for more [default: Azure's management]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// User name that is expected to sign in
    #[arg(long, value_name = "UPN")]
    login_hint: Option<String>,
    /// Redirect URI of the app, for one that has no http://localhost
    #[arg(long, value_name = "URL", requires = "client_id")]
    redirect_uri: Option<Url>,
    #[command(flatten)]
    way: MethodFlags,
    #[command(flatten)]
    limit: Limit,
}

/// How to sign in; by default whichever way suits where this terminal is.
#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
struct MethodFlags {
    /// Use a browser on this desktop, or fail
    #[arg(long)]
    browser: bool,
    /// Show a short code to enter on any device; policies often block it
    #[arg(long)]
    device_code: bool,
    /// Use a browser on any machine, and paste the address it ends at
    #[arg(long)]
    paste: bool,
}

impl MethodFlags {
    const fn method(self) -> SignInMethod {
        match self {
            Self { browser: true, .. } => SignInMethod::Browser,
            Self { device_code: true, .. } => SignInMethod::DeviceCode,
            Self { paste: true, .. } => SignInMethod::Paste,
            _ => SignInMethod::Auto,
        }
    }
}

impl Login {
    pub(crate) fn run(self) -> Result<()> {
        let (account, prompt) = match self.login_hint {
            Some(username) => (AccountChoice::LoginHint(username), Prompt::IfNeeded),
            None => (AccountChoice::Only, Prompt::SelectAccount),
        };
        let mut parameters = self.target.request(&self.scopes, account, None, self.limit)?;
        parameters.redirect_uri = self.redirect_uri;
        let method = self.way.method();
        let broker = if method == SignInMethod::Browser { browser_broker() } else { broker() };
        let request =
            InteractiveRequest { parameters, prompt, sign_in_options: sign_in_options(method) };
        let token = run(async { broker.acquire_interactive(request).await })?;
        let account = token.account;
        output::text(&format!("signed in as {} (tenant {})\n", account.username, account.realm))
    }
}
