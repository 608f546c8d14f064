//! Which of the connected accounts a request means (invariant I8).

use keybearer_core::{Account, AccountChoice, Error, Result, Timestamp};

use crate::errors::sign_in_needed;

/// An account, and the time of its last sign-in.
#[derive(Clone, Copy)]
pub(crate) struct ConnectedAccount<'a> {
    pub(crate) account: &'a Account,
    pub(crate) signed_in: Timestamp,
}

/// The account that the choice means, never another one. Looks at each account once.
pub(crate) fn choose<'a>(
    connected: impl Iterator<Item = ConnectedAccount<'a>> + Clone,
    choice: &AccountChoice,
) -> Result<Account> {
    let mut count = 0;
    let allowed = connected.clone().filter(|one| choice.allows(one.account));
    let latest = allowed.inspect(|_| count += 1).max_by_key(|one| one.signed_in);
    match (latest, choice) {
        (None, AccountChoice::Only | AccountChoice::Default) => {
            Err(sign_in_needed("no account is connected".to_owned()))
        }
        (None, AccountChoice::LoginHint(username)) => {
            Err(sign_in_needed(format!("the account {username} is not connected")))
        }
        (None, AccountChoice::Exact(id)) => {
            Err(sign_in_needed(format!("the account {id} is not connected")))
        }
        (Some(_), AccountChoice::Only | AccountChoice::LoginHint(_)) if count > 1 => {
            Err(several_accounts(&latest_first(connected)))
        }
        (Some(one), _) => Ok(one.account.clone()),
    }
}

/// The accounts, the latest sign-in first.
pub(crate) fn latest_first<'a>(
    connected: impl Iterator<Item = ConnectedAccount<'a>>,
) -> Vec<Account> {
    let mut connected: Vec<ConnectedAccount<'_>> = connected.collect();
    connected.sort_by_key(|one| std::cmp::Reverse(one.signed_in));
    connected.into_iter().map(|one| one.account.clone()).collect()
}

/// A request did not say which of these accounts it means.
pub(crate) fn several_accounts(accounts: &[Account]) -> Error {
    let names = Account::enumerated(accounts);
    let message = format!("several accounts are connected and none was chosen: {names}");
    Error::interaction_required(message)
        .with_hint("name the account, such as with --account, or ask for the default one")
}

#[cfg(test)]
mod tests {
    use keybearer_core::{HomeAccountId, TenantId};

    use super::*;

    fn account(username: String) -> Account {
        Account {
            home_account_id: HomeAccountId::parse("oid.tid").unwrap(),
            environment: "login.windows.net".into(),
            realm: TenantId::parse("tid").unwrap(),
            local_account_id: "oid".into(),
            username,
            name: None,
        }
    }

    /// The accounts, in the order of their sign-ins.
    fn connected(accounts: &[Account]) -> impl Iterator<Item = ConnectedAccount<'_>> + Clone {
        accounts.iter().enumerate().map(|(index, account)| ConnectedAccount {
            account,
            signed_in: Timestamp::from_unix_seconds(index as i64),
        })
    }

    #[test]
    fn a_name_that_several_accounts_have_is_no_choice_and_all_are_listed_the_latest_first() {
        let accounts = ["a@x", "b@x", "B@X"].map(|name| account(name.into()));
        for choice in [AccountChoice::LoginHint("b@x".into()), AccountChoice::Only] {
            let error = choose(connected(&accounts), &choice).unwrap_err();
            assert!(error.to_string().contains("B@X, b@x, a@x"), "{error}");
        }
    }

    #[test]
    fn a_choice_among_a_thousand_accounts_looks_at_each_once() {
        let accounts: Vec<_> = (0..1000).map(|number| account(format!("{number}@x"))).collect();
        let looks = std::cell::Cell::new(0);
        let counted = || connected(&accounts).inspect(|_| looks.set(looks.get() + 1));
        let hint = AccountChoice::LoginHint("7@x".into());
        for choice in [AccountChoice::Default, hint] {
            looks.set(0);
            choose(counted(), &choice).unwrap();
            assert_eq!(looks.get(), 1000, "{choice:?}");
        }
    }
}
