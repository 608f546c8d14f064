use clap::Args;
use keybearer_core::{
    Account, AccountChoice, Broker, Error, HomeAccountId, RemoveAccountRequest, Result,
};

use super::accounts::LIMIT;
use super::below_help;
use crate::output;
use crate::request;
use crate::session::{broker, run};

const EXAMPLE: &str = "\
Example:
  keybearer logout dev@contoso.example";

/// Forget an account and its tokens
///
/// The browser stays signed in.
#[derive(Args, Debug)]
#[command(after_help = below_help(EXAMPLE))]
pub(crate) struct Logout {
    /// User name or home account id [default: the only account]
    #[arg(value_name = "ACCOUNT", conflicts_with = "all")]
    account: Option<String>,
    /// Forget every account
    #[arg(long)]
    all: bool,
}

impl Logout {
    pub(crate) fn run(self) -> Result<()> {
        let forgotten = run(async {
            let broker = broker();
            let connected = broker.accounts(request::accounts(LIMIT)).await?;
            let chosen = self.choose(connected)?;
            for (home_account_id, _) in &chosen {
                let home_account_id = home_account_id.clone();
                let correlation_id = request::correlation_id();
                let timeout = LIMIT;
                let request = RemoveAccountRequest { home_account_id, correlation_id, timeout };
                broker.remove_account(request).await?;
            }
            Ok(chosen)
        })?;
        if forgotten.is_empty() {
            eprintln!("no account is connected");
        }
        let lines = forgotten.iter().map(|(_, username)| format!("forgot {username}\n"));
        output::text(&lines.collect::<String>())
    }

    /// The accounts to forget; an account that is in several directories is listed once.
    fn choose(&self, connected: Vec<Account>) -> Result<Vec<(HomeAccountId, String)>> {
        let mut chosen: Vec<(HomeAccountId, String)> = Vec::new();
        let named = self.account.as_deref().map(AccountChoice::named);
        for account in connected {
            let meant = named.as_ref().is_none_or(|choice| choice.allows(&account));
            if meant && !chosen.iter().any(|(id, _)| *id == account.home_account_id) {
                chosen.push((account.home_account_id, account.username));
            }
        }
        match (&self.account, chosen.len()) {
            (Some(name), 0) => Err(Error::invalid_request(
                "account",
                format!("the account {name} is not connected"),
            )
            .with_hint("run `keybearer accounts` to list the connected accounts")),
            (None, 2..) if !self.all => {
                let message = format!("{} accounts are connected", chosen.len());
                Err(Error::invalid_request("account", message)
                    .with_hint("name the account, or use `--all`"))
            }
            _ => Ok(chosen),
        }
    }
}

#[cfg(test)]
mod tests {
    use keybearer_core::TenantId;

    use super::*;

    fn account(username: &str, id: &str, realm: &str) -> Account {
        Account {
            home_account_id: HomeAccountId::parse(id).unwrap(),
            environment: "login.windows.net".into(),
            realm: TenantId::parse(realm).unwrap(),
            local_account_id: "oid".into(),
            username: username.into(),
            name: None,
        }
    }

    #[test]
    fn one_account_is_meant_by_default_and_several_have_to_be_named() {
        let dev = account("dev@contoso.example", "dev.t", "t");
        let guest = account("dev@contoso.example", "dev.t", "other");
        let ops = account("ops@contoso.example", "ops.t", "t");
        let choose = |account: Option<&str>, all, connected: &[&Account]| {
            let logout = Logout { account: account.map(str::to_owned), all };
            let chosen = logout.choose(connected.iter().map(|&a| a.clone()).collect());
            let ids = |(id, _): &(HomeAccountId, String)| id.as_str().to_owned();
            chosen.map(|chosen| chosen.iter().map(ids).collect::<Vec<_>>())
        };
        assert_eq!(choose(None, false, &[]).unwrap(), [""; 0]);
        assert_eq!(choose(None, false, &[&dev, &guest]).unwrap(), ["dev.t"]);
        assert!(choose(None, false, &[&dev, &ops]).is_err());
        assert_eq!(choose(None, true, &[&dev, &ops, &guest]).unwrap(), ["dev.t", "ops.t"]);
        assert_eq!(choose(Some("OPS@contoso.example"), false, &[&dev, &ops]).unwrap(), ["ops.t"]);
        assert_eq!(choose(Some("dev.t"), false, &[&dev, &ops]).unwrap(), ["dev.t"]);
        assert!(choose(Some("else@contoso.example"), false, &[&dev, &ops]).is_err());
        assert!(choose(Some("else@contoso.example"), false, &[]).is_err());
    }
}
