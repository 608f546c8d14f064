//! `browse`: acts as the person in a sign-in, over plain HTTP.

use crate::failure::OrHint as _;
use anyhow::Result;
use keybearer_emulator::{Browser, Intent, Person, PersonError, Unknown};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the sign-in begins
    url: url::Url,
    /// Account to pick or to type; without it, the first account offered
    #[arg(long, env = "KEYBEARER_BROWSE_USER")]
    user: Option<String>,
    /// Its password; better given by the variable, since others can read argument lists
    #[arg(long, env = "KEYBEARER_BROWSE_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Press the first cancel or deny button met
    #[arg(long, conflicts_with = "abandon")]
    deny: bool,
    /// Open the first page and leave it
    #[arg(long)]
    abandon: bool,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let intent = match (options.deny, options.abandon) {
        (true, _) => Intent::Deny,
        (_, true) => Intent::Abandon,
        _ => Intent::SignIn,
    };
    let mut person = Person::at(Browser::of_system()?).intending(intent);
    if let Some(user) = &options.user {
        person = person.named(user);
    }
    if let Some(password) = &options.password {
        person = person.knowing(password);
    }
    let landing = person.visit(options.url.as_str()).await;
    let outcome = landing.and_then(|landing| landing.check());
    match &outcome {
        Err(PersonError::Unanswerable { unknown: Unknown::UserName, .. }) => {
            outcome.or_hint("sign in", "give --user or KEYBEARER_BROWSE_USER")
        }
        Err(PersonError::Unanswerable { unknown: Unknown::Password, .. }) => {
            outcome.or_hint("sign in", "give --password or KEYBEARER_BROWSE_PASSWORD")
        }
        _ => Ok(outcome?),
    }
}
