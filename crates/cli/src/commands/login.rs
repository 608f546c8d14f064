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

/// Sign in with an account
///
/// The broker keeps the account, and programs can get tokens for it from then on. If there is a
/// display, the browser opens. Otherwise open the printed address in a browser elsewhere; the answer
/// comes back through a forwarded port (ssh -L), or you paste it here.
#[derive(Args, Debug)]
#[command(after_help = below_help(EXAMPLE))]
pub(crate) struct Login {
    #[command(flatten)]
    target: Target,
    /// Scope to sign in for; repeat for more [default: Azure Resource Manager]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// User name of the account to sign in with
    #[arg(long, value_name = "UPN")]
    login_hint: Option<String>,
    /// Redirect URI of the app, if http://localhost is not registered
    #[arg(long, value_name = "URL", requires = "client_id")]
    redirect_uri: Option<Url>,
    #[command(flatten)]
    method: MethodFlags,
    #[command(flatten)]
    limit: Limit,
}

/// How to sign in; the default depends on the terminal and the display.
#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
struct MethodFlags {
    /// Use a browser on this desktop; fail if there is none
    #[arg(long)]
    browser: bool,
    /// Show a short code to enter on any device; often blocked by policies
    #[arg(long)]
    device_code: bool,
    /// Use a browser on any machine, and paste its last address here
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
        let method = self.method.method();
        let broker = if method == SignInMethod::Browser { browser_broker() } else { broker() };
        let request =
            InteractiveRequest { parameters, prompt, sign_in_options: sign_in_options(method) };
        let token = run(async { broker.acquire_interactive(request).await })?;
        let account = token.account;
        output::text(&format!("signed in as {} (tenant {})\n", account.username, account.realm))
    }
}
