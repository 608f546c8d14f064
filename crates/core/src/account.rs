use crate::{Error, HomeAccountId, Result, TenantId};

/// A person who has signed in, as seen in one directory.
///
/// The same person may be a member of several; [`home_account_id`](Self::home_account_id) is the
/// identity that stays the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The person's identity, the same in every directory.
    pub home_account_id: HomeAccountId,
    /// The cloud it belongs to, see [`AuthorityHost::environment`](crate::AuthorityHost::environment).
    pub environment: String,
    /// The directory this view of the account is from.
    pub realm: TenantId,
    /// The object id in that directory.
    pub local_account_id: String,
    /// The user principal name.
    pub username: String,
    /// The display name, if the directory provides one.
    pub name: Option<String>,
}

impl Account {
    /// Lists the user principal names of `accounts` for an error message: the first five, and the
    /// number of the others.
    #[must_use]
    pub fn enumerated(accounts: &[Self]) -> String {
        const NAMED: usize = 5;
        let names: Vec<&str> = accounts.iter().map(|account| &*account.username).collect();
        match names.split_at_checked(NAMED) {
            Some((named, rest)) if !rest.is_empty() => {
                format!("{} and {} more", named.join(", "), rest.len())
            }
            _ => names.join(", "),
        }
    }
}

/// Which account a request is for. A broker never uses another account than an exact one
/// (promise I8).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum AccountChoice {
    /// No account was named: the connected account if there is exactly one, else the person chooses.
    #[default]
    Only,
    /// No account was named: the one used last.
    Default,
    /// The account with this user principal name.
    LoginHint(String),
    /// Exactly this account.
    Exact(HomeAccountId),
}

impl AccountChoice {
    /// Whether the choice allows `account`; `Only` and `Default` allow any.
    #[must_use]
    pub fn allows(&self, account: &Account) -> bool {
        match self {
            Self::Only | Self::Default => true,
            Self::LoginHint(username) => account.username.eq_ignore_ascii_case(username),
            Self::Exact(id) => account.home_account_id == *id,
        }
    }

    /// Checks the account that signed in. The person may choose another account than a hint, but not
    /// than an exact one (promise I8).
    ///
    /// # Errors
    /// `InteractionRequired` if the choice is an exact account and `account` is another one.
    pub fn check_sign_in(&self, account: &Account) -> Result<()> {
        match self {
            Self::Exact(id) if account.home_account_id != *id => {
                let got = &account.username;
                Err(Error::interaction_required(format!("{got} signed in, but {id} was asked for"))
                    .with_hint(format!("sign in again and choose {id}")))
            }
            _ => Ok(()),
        }
    }

    /// Parses what a person types: a home account id or a user principal name.
    #[must_use]
    pub fn named(text: &str) -> Self {
        match HomeAccountId::parse(text) {
            Ok(id) if !text.contains('@') => Self::Exact(id),
            _ => Self::LoginHint(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_a_few_accounts_and_counts_the_rest() {
        let accounts: Vec<Account> = (1..=7)
            .map(|number| Account {
                home_account_id: HomeAccountId::parse("oid.tid").unwrap(),
                environment: "login.windows.net".into(),
                realm: TenantId::parse("11111111-1111-4111-8111-111111111111").unwrap(),
                local_account_id: "oid".into(),
                username: format!("p{number}"),
                name: None,
            })
            .collect();
        let cases =
            [(0, ""), (1, "p1"), (5, "p1, p2, p3, p4, p5"), (7, "p1, p2, p3, p4, p5 and 2 more")];
        for (count, text) in cases {
            assert_eq!(Account::enumerated(&accounts[..count]), text);
        }
    }

    #[test]
    fn a_named_account_is_a_user_name_or_a_home_account_id() {
        assert_eq!(
            AccountChoice::named("dev@contoso.example"),
            AccountChoice::LoginHint("dev@contoso.example".into())
        );
        assert_eq!(
            AccountChoice::named("oid.tid"),
            AccountChoice::Exact(HomeAccountId::parse("oid.tid").unwrap())
        );
    }
}
