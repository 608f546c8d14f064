use clap::Args;
use keybearer_core::{AccountChoice, Broker, InteractiveRequest, Prompt, Result};

use super::below_help;
use crate::output;
use crate::request::{Limit, Target};
use crate::session::{broker, browser_broker, run, say_where_to_look};

const EXAMPLE: &str = "\
Example: sign in to one directory
  keybearer login --tenant contoso.example";

/// Sign an account in, with the browser
///
/// The broker keeps the account, so programs get tokens for it from then on.
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
    /// Use the browser, also where the system's own broker would sign in (Windows)
    #[arg(long)]
    browser: bool,
    #[command(flatten)]
    limit: Limit,
}

impl Login {
    pub(crate) fn run(self) -> Result<()> {
        let (account, prompt) = match self.login_hint {
            Some(username) => (AccountChoice::LoginHint(username), Prompt::IfNeeded),
            None => (AccountChoice::Only, Prompt::SelectAccount),
        };
        let parameters = self.target.request(&self.scopes, account, None, self.limit)?;
        let request = InteractiveRequest { parameters, prompt };
        say_where_to_look();
        let broker = if self.browser { browser_broker() } else { broker() };
        let token = run(async { broker.acquire_interactive(request).await })?;
        let account = token.account;
        output::text(&format!("signed in as {} (tenant {})\n", account.username, account.realm))
    }
}
