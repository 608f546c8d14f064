//! The connected accounts and their refresh tokens, in memory. What is here is also in the store,
//! except between a change and its commit.
//!
//! Refresh tokens rotate: redeeming one yields a successor, and a provider may revoke the whole
//! family when a token is redeemed after its successor has been used. Requests for different
//! resources redeem the same token at the same time, so the rule is: *a successor is not used while
//! its predecessor is still in flight*. All overlapping redemptions use the predecessor; the first
//! one that starts when none is in flight moves on to the newest successor, provided that is
//! durable (invariant I3): after a crash, the store must not be two steps behind the provider.

use std::collections::HashMap;

use keybearer_core::{
    Account, AccountChoice, ClientId, Error, HomeAccountId, RefreshToken, Result, Timestamp,
};

/// An account within a cloud.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct AccountKey {
    pub(crate) environment: String,
    pub(crate) home_account_id: HomeAccountId,
}

impl AccountKey {
    pub(crate) fn of(account: &Account) -> Self {
        Self {
            environment: account.environment.clone(),
            home_account_id: account.home_account_id.clone(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Registry {
    entries: HashMap<AccountKey, Entry>,
    next_generation: u64,
}

struct Entry {
    account: Account,
    signed_in: Timestamp,
    /// Tells this connection of the account from an earlier one that was removed meanwhile.
    connection: u64,
    refresh_tokens: HashMap<ClientId, RefreshEntry>,
}

/// Proof that a redemption has started; handed back when it ends.
pub(crate) struct Redemption {
    pub(crate) account: Account,
    pub(crate) refresh_token: RefreshToken,
    /// The one before, if the token has not been used yet.
    pub(crate) previous: Option<RefreshToken>,
    connection: u64,
    generation: u64,
}

impl Registry {
    /// Every account, the one that signed in last first.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.signed_in));
        entries.into_iter().map(|entry| entry.account.clone()).collect()
    }

    pub(crate) fn accounts_in(&self, environment: &str) -> Vec<Account> {
        let mut accounts = self.accounts();
        accounts.retain(|account| account.environment == environment);
        accounts
    }

    /// The account a choice stands for, never another (invariant I8).
    pub(crate) fn choose(&self, environment: &str, choice: &AccountChoice) -> Result<Account> {
        let accounts = self.accounts_in(environment);
        let mut allowed = accounts.iter().filter(|account| choice.allows(account));
        match (allowed.next(), allowed.next(), choice) {
            (None, _, AccountChoice::Only | AccountChoice::Default) => {
                Err(sign_in_needed("no account is connected".to_owned()))
            }
            (None, _, AccountChoice::LoginHint(username)) => {
                Err(sign_in_needed(format!("the account {username} is not connected")))
            }
            (None, _, AccountChoice::Exact(id)) => {
                Err(sign_in_needed(format!("the account {id} is not connected")))
            }
            (Some(_), Some(_), AccountChoice::Only | AccountChoice::LoginHint(_)) => {
                Err(several_accounts(&accounts))
            }
            (Some(account), _, _) => Ok(account.clone()),
        }
    }

    /// The account as it will be listed: the view from its home directory is preferred to others.
    pub(crate) fn listed(&self, account: Account) -> Account {
        let is_home = account.realm.as_str() == account.home_account_id.utid();
        match self.entries.get(&AccountKey::of(&account)) {
            Some(entry) if !is_home => entry.account.clone(),
            _ => account,
        }
    }

    pub(crate) fn insert(&mut self, account: Account, signed_in: Timestamp) {
        let key = AccountKey::of(&account);
        let account = self.listed(account);
        if let Some(entry) = self.entries.get_mut(&key) {
            (entry.account, entry.signed_in) = (account, signed_in);
            return;
        }
        self.next_generation += 1;
        let connection = self.next_generation;
        let refresh_tokens = HashMap::new();
        self.entries.insert(key, Entry { account, signed_in, connection, refresh_tokens });
    }

    /// Sets the refresh token of a fresh sign-in, or one read from the store.
    pub(crate) fn set_refresh(&mut self, key: &AccountKey, client: ClientId, token: RefreshEntry) {
        self.next_generation += 1;
        if let Some(entry) = self.entries.get_mut(key) {
            let token = RefreshEntry { generation: self.next_generation, ..token };
            entry.refresh_tokens.insert(client, token);
        }
    }

    pub(crate) fn remove(&mut self, key: &AccountKey) {
        self.entries.remove(key);
    }

    /// The apps that have a refresh token of the account.
    pub(crate) fn clients(&self, key: &AccountKey) -> Vec<ClientId> {
        let entry = self.entries.get(key).into_iter();
        entry.flat_map(|entry| entry.refresh_tokens.keys().cloned()).collect()
    }

    pub(crate) fn keys_of(&self, id: &HomeAccountId) -> Vec<AccountKey> {
        self.entries.keys().filter(|key| key.home_account_id == *id).cloned().collect()
    }

    pub(crate) fn contains(&self, key: &AccountKey) -> bool {
        self.entries.contains_key(key)
    }

    pub(crate) fn refresh_entry(
        &self,
        key: &AccountKey,
        client: &ClientId,
    ) -> Option<&RefreshEntry> {
        self.entries.get(key)?.refresh_tokens.get(client)
    }

    /// Starts a redemption by the rule in the module's description.
    pub(crate) fn start(&mut self, key: &AccountKey, client: &ClientId) -> Result<Redemption> {
        let entry = self.entries.get_mut(key);
        let entry = entry.ok_or_else(|| sign_in_needed("the account is not connected".into()))?;
        let refresh = entry.refresh_tokens.get_mut(client).ok_or_else(|| {
            sign_in_needed(format!("{} has not signed in to this app", entry.account.username))
        })?;
        Ok(Redemption {
            account: entry.account.clone(),
            refresh_token: refresh.start(),
            previous: refresh.previous.clone(),
            connection: entry.connection,
            generation: refresh.generation,
        })
    }

    /// Ends a redemption. Answers whether the account is still connected as it was at the start; if
    /// it was removed meanwhile, nothing is brought back.
    pub(crate) fn land(
        &mut self,
        key: &AccountKey,
        client: &ClientId,
        redemption: &Redemption,
        successor: Option<RefreshToken>,
    ) -> bool {
        if !self.is_connected(key, redemption) {
            return false;
        }
        if let Some(refresh) = self.refresh_entry_mut(key, client)
            && refresh.generation == redemption.generation
        {
            refresh.land(successor);
        }
        true
    }

    /// Whether the account is still connected as it was when the redemption started.
    pub(crate) fn is_connected(&self, key: &AccountKey, redemption: &Redemption) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.connection == redemption.connection)
    }

    /// The store now holds this as the newest token, so it may be used.
    pub(crate) fn set_durable(
        &mut self,
        key: &AccountKey,
        client: &ClientId,
        token: &RefreshToken,
    ) {
        if let Some(entry) = self.refresh_entry_mut(key, client)
            && entry.newest().same_as(token)
        {
            entry.newest_is_durable = true;
        }
    }

    fn refresh_entry_mut(
        &mut self,
        key: &AccountKey,
        client: &ClientId,
    ) -> Option<&mut RefreshEntry> {
        self.entries.get_mut(key)?.refresh_tokens.get_mut(client)
    }
}

/// Somebody has to say which of these is meant.
pub(crate) fn several_accounts(accounts: &[Account]) -> Error {
    let names: Vec<&str> = accounts.iter().map(|account| account.username.as_str()).collect();
    let message =
        format!("several accounts are connected and none was chosen: {}", names.join(", "));
    Error::interaction_required(message)
        .with_hint("name one, such as with --account, or ask for the default one")
}

fn sign_in_needed(message: String) -> Error {
    Error::interaction_required(message).with_hint("sign in with `keybearer login`")
}

/// The refresh token of one account for one app, and its neighbours in the rotation.
pub(crate) struct RefreshEntry {
    active: RefreshToken,
    successor: Option<RefreshToken>,
    previous: Option<RefreshToken>,
    newest_is_durable: bool,
    in_flight: u32,
    family: Option<String>,
    /// Tells entries apart when a new sign-in replaces one in mid-flight.
    generation: u64,
}

impl RefreshEntry {
    /// A token nobody has redeemed yet, and which is in the store.
    pub(crate) fn new(
        current: RefreshToken,
        previous: Option<RefreshToken>,
        family: Option<String>,
    ) -> Self {
        Self {
            active: current,
            successor: None,
            previous,
            newest_is_durable: true,
            in_flight: 0,
            family,
            generation: 0,
        }
    }

    /// What to redeem next time nothing is in flight.
    pub(crate) fn newest(&self) -> &RefreshToken {
        self.successor.as_ref().unwrap_or(&self.active)
    }

    /// The one before, kept until the newest has been used once.
    pub(crate) fn previous(&self) -> Option<&RefreshToken> {
        if self.successor.is_some() { Some(&self.active) } else { self.previous.as_ref() }
    }

    /// The family of apps that may redeem it, if the provider named one.
    pub(crate) fn family(&self) -> Option<&str> {
        self.family.as_deref()
    }

    fn start(&mut self) -> RefreshToken {
        if self.in_flight == 0
            && self.newest_is_durable
            && let Some(successor) = self.successor.take()
        {
            self.previous = Some(std::mem::replace(&mut self.active, successor));
        }
        self.in_flight += 1;
        self.active.clone()
    }

    fn land(&mut self, successor: Option<RefreshToken>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(successor) = successor {
            // The active token has now been used, so the one before it is spent.
            self.previous = None;
            self.successor = Some(successor);
            self.newest_is_durable = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use keybearer_core::{ErrorKind, TenantId};

    use super::*;

    fn account(id: &str, username: &str) -> Account {
        Account {
            home_account_id: HomeAccountId::parse(id).unwrap(),
            environment: "login.windows.net".into(),
            realm: TenantId::parse("tid").unwrap(),
            local_account_id: "oid".into(),
            username: username.into(),
            name: None,
        }
    }

    fn registry(accounts: &[Account]) -> Registry {
        let mut registry = Registry::default();
        for (index, account) in accounts.iter().enumerate() {
            registry.insert(account.clone(), Timestamp::from_unix_seconds(index as i64));
        }
        registry
    }

    fn token(text: &str) -> RefreshToken {
        RefreshToken::new(text.into())
    }

    fn client() -> ClientId {
        ClientId::parse("app").unwrap()
    }

    #[test]
    fn an_account_that_was_asked_for_is_never_replaced_by_another_inv_i8() {
        let registry = registry(&[account("a.tid", "a@x"), account("b.tid", "b@x")]);
        let choose = |choice| registry.choose("login.windows.net", &choice);
        let exact = |id: &str| AccountChoice::Exact(HomeAccountId::parse(id).unwrap());
        let hint = |name: &str| AccountChoice::LoginHint(name.into());
        assert_eq!(choose(exact("a.tid")).unwrap().username, "a@x");
        assert_eq!(choose(hint("B@X")).unwrap().username, "b@x");
        assert_eq!(choose(AccountChoice::Default).unwrap().username, "b@x");
        for refused in [exact("c.tid"), hint("c@x"), AccountChoice::Only] {
            let error = choose(refused).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InteractionRequired { .. }), "{error}");
        }
    }

    #[test]
    fn accounts_of_another_cloud_are_not_offered() {
        let registry = registry(&[account("a.tid", "a@x")]);
        assert!(registry.choose("localhost:1", &AccountChoice::Only).is_err());
    }

    #[test]
    fn a_successor_is_not_used_while_its_predecessor_is_in_flight() {
        let mut entry = RefreshEntry::new(token("1"), None, None);
        assert_eq!(entry.start().expose(), "1");
        assert_eq!(entry.start().expose(), "1");
        entry.land(Some(token("2")));
        assert_eq!(entry.start().expose(), "1", "another redemption of 1 is still in flight");
        entry.land(Some(token("3")));
        entry.land(None);
        entry.newest_is_durable = true;
        assert_eq!(entry.start().expose(), "3");
    }

    #[test]
    fn a_successor_is_not_used_before_it_is_durable_inv_i3() {
        let (one, client) = (account("a.tid", "a@x"), client());
        let key = AccountKey::of(&one);
        let mut registry = registry(&[one]);
        registry.set_refresh(&key, client.clone(), RefreshEntry::new(token("1"), None, None));
        let first = registry.start(&key, &client).unwrap();
        registry.land(&key, &client, &first, Some(token("2")));
        let again = registry.start(&key, &client).unwrap();
        assert_eq!(again.refresh_token.expose(), "1");
        registry.land(&key, &client, &again, Some(token("3")));
        registry.set_durable(&key, &client, &token("2"));
        let third = registry.start(&key, &client).unwrap();
        assert_eq!(third.refresh_token.expose(), "1", "3 is the newest, and not durable");
        registry.land(&key, &client, &third, None);
        registry.set_durable(&key, &client, &token("3"));
        assert_eq!(registry.start(&key, &client).unwrap().refresh_token.expose(), "3");
    }

    #[test]
    fn the_previous_token_is_kept_until_the_new_one_has_been_used() {
        let mut entry = RefreshEntry::new(token("1"), None, None);
        entry.start();
        entry.land(Some(token("2")));
        assert_eq!((entry.newest().expose(), entry.previous().unwrap().expose()), ("2", "1"));
        entry.newest_is_durable = true;
        entry.start();
        assert_eq!((entry.newest().expose(), entry.previous().unwrap().expose()), ("2", "1"));
        entry.land(Some(token("3")));
        assert_eq!((entry.newest().expose(), entry.previous().unwrap().expose()), ("3", "2"));
    }

    #[test]
    fn a_refresh_that_lands_after_the_account_was_removed_brings_nothing_back() {
        let one = account("a.tid", "a@x");
        let key = AccountKey::of(&one);
        let mut registry = registry(std::slice::from_ref(&one));
        let signed_in = || RefreshEntry::new(token("1"), None, None);
        registry.set_refresh(&key, client(), signed_in());
        let redemption = registry.start(&key, &client()).unwrap();
        registry.remove(&key);
        assert!(!registry.land(&key, &client(), &redemption, Some(token("2"))));
        registry.insert(one, Timestamp::from_unix_seconds(9));
        registry.set_refresh(&key, client(), signed_in());
        assert!(!registry.land(&key, &client(), &redemption, Some(token("2"))));
        assert_eq!(registry.refresh_entry(&key, &client()).unwrap().newest().expose(), "1");
    }

    #[test]
    fn a_refresh_that_lands_after_a_new_sign_in_does_not_replace_its_token() {
        let one = account("a.tid", "a@x");
        let key = AccountKey::of(&one);
        let mut registry = registry(&[one]);
        registry.set_refresh(&key, client(), RefreshEntry::new(token("1"), None, None));
        let redemption = registry.start(&key, &client()).unwrap();
        registry.set_refresh(&key, client(), RefreshEntry::new(token("9"), None, None));
        assert!(registry.land(&key, &client(), &redemption, Some(token("2"))));
        assert_eq!(registry.refresh_entry(&key, &client()).unwrap().newest().expose(), "9");
    }
}
