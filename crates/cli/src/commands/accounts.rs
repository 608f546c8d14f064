use std::time::Duration;

use clap::Args;
use keybearer_core::{Account, Broker, Result};
use serde_json::{Value, json};

use super::below_help;
use crate::arguments::TableFormat;
use crate::failure::ErrorFormat;
use crate::output;
use crate::request;
use crate::session::{broker, run};

const EXAMPLE: &str = "\
Example:
  keybearer accounts --output json";

/// The broker answers from memory; its start may take longer.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// List the connected accounts
#[derive(Args, Debug)]
#[command(after_help = below_help(EXAMPLE))]
pub(crate) struct Accounts {
    /// What to print
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: TableFormat,
}

impl Accounts {
    pub(crate) fn run(self) -> Result<()> {
        let accounts = run(async { broker().accounts(request::accounts(LIMIT)).await })?;
        match self.output {
            TableFormat::Json => output::json(&accounts.iter().map(json).collect()),
            TableFormat::Table if accounts.is_empty() => {
                eprintln!("no account is connected");
                Ok(())
            }
            TableFormat::Table => output::text(&table(&accounts)),
        }
    }

    pub(crate) const fn error_format(&self) -> ErrorFormat {
        self.output.error_format()
    }
}

pub(super) fn json(account: &Account) -> Value {
    json!({
        "username": account.username,
        "name": account.name,
        "tenant_id": account.realm.as_str(),
        "home_account_id": account.home_account_id.as_str(),
        "local_account_id": account.local_account_id,
        "environment": account.environment,
    })
}

fn table(accounts: &[Account]) -> String {
    let heading = ["USER NAME", "NAME", "TENANT", "HOME ACCOUNT ID"].map(str::to_owned);
    let row = |account: &Account| {
        let name = account.name.clone().unwrap_or_default();
        let (tenant, id) = (account.realm.to_string(), account.home_account_id.to_string());
        [account.username.clone(), name, tenant, id]
    };
    let rows: Vec<[String; 4]> = std::iter::once(heading).chain(accounts.iter().map(row)).collect();
    output::table(&rows)
}
