//! The connected accounts in memory, and which refresh tokens they have. Everything here is also in
//! the store. A refresh token is in memory only while it is being redeemed, or until its successor
//! has been written.
//!
//! Refresh tokens rotate: redeeming one yields a successor, and a provider may revoke all tokens of
//! the chain if a token is redeemed after its successor has been used. Requests for different
//! resources redeem the same token at the same time. The rule is therefore: *a successor is not
//! used while its predecessor is being redeemed*. All overlapping redemptions use the predecessor.
//! The first redemption that starts when no other is under way uses the newest successor, provided
//! that it is durable (invariant I3): after a crash, the store must not be two tokens behind the
//! provider.

use std::collections::{HashMap, HashSet};

use keybearer_core::{
    Account, AccountChoice, ClientId, HomeAccountId, RefreshToken, Result, Timestamp,
};
use keybearer_protocol::shr::ProofKey;

use crate::accounts::choice::{ConnectedAccount, choose, latest_first};
use crate::accounts::family_refresh_tokens::FamilyRefreshTokens;
use crate::accounts::refresh_entry::RefreshEntry;
use crate::errors::sign_in_needed;
use crate::store::record_name::AccountKey;
use crate::store::records::StoredRefresh;

#[derive(Default)]
pub(crate) struct Registry {
    /// Boxed, because about half of the slots of a map are empty.
    entries: HashMap<AccountKey, Box<Entry>>,
    next_generation: u64,
    /// Apps that the provider refused the refresh token of another app (`client_mismatch`).
    not_in_family: HashSet<ClientId>,
}

struct Entry {
    account: Account,
    signed_in: Timestamp,
    /// Distinguishes this connection of the account from an earlier one that was removed.
    connection: u64,
    /// By app. Most accounts have one, few have more than three.
    refresh_tokens: Vec<(ClientId, RefreshEntry)>,
    /// The key that tokens of the account may be bound to. Generated on first use.
    proof_key: Option<ProofKey>,
}

/// A redemption that has started. [`Registry::finish_redemption`] ends it.
pub(crate) struct Redemption {
    pub(crate) account: Account,
    /// The app that the refresh token was issued to: the app of the request, or another of its
    /// family.
    pub(crate) token_owner: ClientId,
    pub(crate) refresh_token: RefreshToken,
    /// The predecessor, if the token has not been redeemed yet.
    pub(crate) previous: Option<RefreshToken>,
    connection: u64,
    generation: u64,
}

impl Registry {
    /// Every account, the latest sign-in first.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        latest_first(self.connected())
    }

    /// The accounts of one cloud, the latest sign-in first.
    pub(crate) fn accounts_in(&self, environment: &str) -> Vec<Account> {
        latest_first(self.connected_in(environment))
    }

    /// How many accounts there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The account that the choice means, never another one (invariant I8). Every request needs
    /// this, so only the account that is returned is copied.
    pub(crate) fn choose(&self, environment: &str, choice: &AccountChoice) -> Result<Account> {
        let AccountChoice::Exact(id) = choice else {
            return choose(self.connected_in(environment), choice);
        };
        let key = AccountKey { environment: environment.to_owned(), home_account_id: id.clone() };
        choose(self.entries.get(&key).map(|entry| entry.connected()).into_iter(), choice)
    }

    /// As [`choose`](Self::choose), for a request that names no authority.
    pub(crate) fn choose_anywhere(&self, choice: &AccountChoice) -> Result<Account> {
        choose(self.connected(), choice)
    }

    fn connected(&self) -> impl Iterator<Item = ConnectedAccount<'_>> + Clone {
        self.entries.values().map(|entry| entry.connected())
    }

    fn connected_in(
        &self,
        environment: &str,
    ) -> impl Iterator<Item = ConnectedAccount<'_>> + Clone {
        self.connected().filter(move |one| one.account.environment == environment)
    }

    /// The account as it is listed: the profile in its home directory takes precedence over the
    /// profiles of guests.
    pub(crate) fn listed(&self, account: Account) -> Account {
        let is_home = account.realm.as_str() == account.home_account_id.utid();
        match self.entries.get(&AccountKey::of(&account)) {
            Some(entry) if !is_home => entry.account.clone(),
            _ => account,
        }
    }

    /// Connects an account, or updates it.
    pub(crate) fn insert(&mut self, account: Account, signed_in: Timestamp) {
        let key = AccountKey::of(&account);
        let account = self.listed(account);
        if let Some(entry) = self.entries.get_mut(&key) {
            (entry.account, entry.signed_in) = (account, signed_in);
            return;
        }
        self.next_generation += 1;
        let connection = self.next_generation;
        let refresh_tokens = Vec::new();
        let entry = Entry { account, signed_in, connection, refresh_tokens, proof_key: None };
        self.entries.insert(key, Box::new(entry));
    }

    /// The store now contains a refresh token that no redemption has used.
    pub(crate) fn set_refresh(
        &mut self,
        key: &AccountKey,
        client: ClientId,
        family: Option<String>,
    ) {
        self.next_generation += 1;
        if let Some(entry) = self.entries.get_mut(key) {
            entry.set_refresh(client, RefreshEntry::new(family, self.next_generation));
        }
    }

    /// The key that tokens of the account are bound to, if it has been generated.
    pub(crate) fn proof_key(&self, key: &AccountKey) -> Option<&ProofKey> {
        self.entries.get(key)?.proof_key.as_ref()
    }

    pub(crate) fn set_proof_key(&mut self, key: &AccountKey, proof_key: ProofKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.proof_key = Some(proof_key);
        }
    }

    pub(crate) fn remove(&mut self, key: &AccountKey) {
        self.entries.remove(key);
    }

    /// The apps that the account has a refresh token for.
    pub(crate) fn clients(&self, key: &AccountKey) -> Vec<ClientId> {
        let entry = self.entries.get(key).into_iter();
        entry.flat_map(|entry| entry.refresh_tokens.iter().map(|(app, _)| app.clone())).collect()
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
        self.entries.get(key)?.refresh(client)
    }

    /// The app whose refresh token a request of `client` redeems: `client` itself, or, under
    /// [`FamilyRefreshTokens::SameFamily`], another app whose token the provider marked as a
    /// family's. The successors of the token stay with that other app, so that there is one chain
    /// of tokens.
    ///
    /// Only the provider knows whether an app belongs to the family. An app that it refused does
    /// not try again, see [`mark_not_in_family`](Self::mark_not_in_family).
    pub(crate) fn token_owner(
        &self,
        key: &AccountKey,
        client: &ClientId,
        families: FamilyRefreshTokens,
    ) -> Result<ClientId> {
        let entry = self.entries.get(key);
        let entry = entry.ok_or_else(|| sign_in_needed("the account is not connected".into()))?;
        let families = match self.not_in_family.contains(client) {
            true => FamilyRefreshTokens::Off,
            false => families,
        };
        entry.token_owner(client, families).ok_or_else(|| {
            sign_in_needed(format!("{} has not signed in to this app", entry.account.username))
        })
    }

    /// Takes over a refresh token that was read from the store, unless a newer one is in memory.
    pub(crate) fn load_from_store(
        &mut self,
        key: &AccountKey,
        token_owner: &ClientId,
        stored: StoredRefresh,
    ) {
        if let Some(entry) = self.refresh_entry_mut(key, token_owner) {
            entry.load_from_store(stored);
        }
    }

    /// Starts a redemption, by the rule in the module's documentation. `None` if the refresh token
    /// is only in the store, and must be [loaded](Self::load_from_store) first.
    pub(crate) fn start_redemption(
        &mut self,
        key: &AccountKey,
        token_owner: &ClientId,
    ) -> Option<Redemption> {
        let entry = self.entries.get_mut(key)?;
        let refresh = entry.refresh_mut(token_owner)?;
        let (refresh_token, previous) = refresh.start_redemption()?;
        let generation = refresh.generation();
        let (account, connection) = (entry.account.clone(), entry.connection);
        let token_owner = token_owner.clone();
        Some(Redemption { account, token_owner, refresh_token, previous, connection, generation })
    }

    /// Ends a redemption. Returns whether the account is still connected as it was at the start:
    /// the redemption must not bring back an account that was removed.
    pub(crate) fn finish_redemption(
        &mut self,
        key: &AccountKey,
        redemption: &Redemption,
        successor: Option<RefreshToken>,
    ) -> bool {
        if !self.is_connected(key, redemption) {
            return false;
        }
        if let Some(refresh) = self.refresh_entry_mut(key, &redemption.token_owner)
            && refresh.generation() == redemption.generation
        {
            refresh.finish_redemption(successor);
        }
        true
    }

    /// The provider refused the app the refresh token of another app (`client_mismatch`).
    pub(crate) fn mark_not_in_family(&mut self, client: &ClientId) {
        self.not_in_family.insert(client.clone());
    }

    /// Whether the account is still connected as it was when the redemption started.
    pub(crate) fn is_connected(&self, key: &AccountKey, redemption: &Redemption) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.connection == redemption.connection)
    }

    /// The store now contains this token. If it is the newest, it may be redeemed.
    pub(crate) fn set_durable(
        &mut self,
        key: &AccountKey,
        client: &ClientId,
        token: &RefreshToken,
    ) {
        if let Some(entry) = self.refresh_entry_mut(key, client) {
            entry.set_durable(token);
        }
    }

    fn refresh_entry_mut(
        &mut self,
        key: &AccountKey,
        client: &ClientId,
    ) -> Option<&mut RefreshEntry> {
        self.entries.get_mut(key)?.refresh_mut(client)
    }
}

impl Entry {
    fn connected(&self) -> ConnectedAccount<'_> {
        ConnectedAccount { account: &self.account, signed_in: self.signed_in }
    }

    fn refresh(&self, client: &ClientId) -> Option<&RefreshEntry> {
        self.refresh_tokens.iter().find(|(app, _)| app == client).map(|(_, token)| token)
    }

    fn refresh_mut(&mut self, client: &ClientId) -> Option<&mut RefreshEntry> {
        self.refresh_tokens.iter_mut().find(|(app, _)| app == client).map(|(_, token)| token)
    }

    fn set_refresh(&mut self, client: ClientId, token: RefreshEntry) {
        if let Some(old) = self.refresh_mut(&client) {
            *old = token;
            return;
        }
        self.refresh_tokens.reserve_exact(1);
        self.refresh_tokens.push((client, token));
    }

    /// The app whose refresh token a request of `client` redeems.
    fn token_owner(&self, client: &ClientId, families: FamilyRefreshTokens) -> Option<ClientId> {
        if self.refresh(client).is_some() {
            return Some(client.clone());
        }
        let mut members = self.refresh_tokens.iter();
        let member = members.find(|(_, token)| token.family().is_some());
        member
            .filter(|_| families == FamilyRefreshTokens::SameFamily)
            .map(|(token_owner, _)| token_owner.clone())
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

    fn sign_in(registry: &mut Registry, key: &AccountKey, client: &ClientId) {
        registry.set_refresh(key, client.clone(), None);
    }

    /// Starts a redemption of the token `stored`, as read from the store.
    fn start(
        registry: &mut Registry,
        key: &AccountKey,
        client: &ClientId,
        stored: &str,
    ) -> Redemption {
        registry.load_from_store(key, client, StoredRefresh::new(token(stored), None));
        registry.start_redemption(key, client).unwrap()
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
        let exact = AccountChoice::Exact(HomeAccountId::parse("a.tid").unwrap());
        for choice in [AccountChoice::Only, exact] {
            assert!(registry.choose("localhost:1", &choice).is_err());
            assert!(registry.choose_anywhere(&choice).is_ok());
        }
    }

    #[test]
    fn a_successor_is_not_used_before_it_is_durable_inv_i3() {
        let (one, client) = (account("a.tid", "a@x"), client());
        let key = AccountKey::of(&one);
        let mut registry = registry(&[one]);
        sign_in(&mut registry, &key, &client);
        let first = start(&mut registry, &key, &client, "1");
        registry.finish_redemption(&key, &first, Some(token("2")));
        let again = start(&mut registry, &key, &client, "1");
        assert_eq!(again.refresh_token.expose(), "1");
        registry.finish_redemption(&key, &again, Some(token("3")));
        registry.set_durable(&key, &client, &token("2"));
        let third = start(&mut registry, &key, &client, "2");
        assert_eq!(third.refresh_token.expose(), "1", "3 is the newest, and not durable");
        registry.finish_redemption(&key, &third, None);
        registry.set_durable(&key, &client, &token("3"));
        assert_eq!(start(&mut registry, &key, &client, "3").refresh_token.expose(), "3");
    }

    #[test]
    fn a_refresh_that_lands_after_the_account_was_removed_brings_nothing_back() {
        let one = account("a.tid", "a@x");
        let key = AccountKey::of(&one);
        let mut registry = registry(std::slice::from_ref(&one));
        sign_in(&mut registry, &key, &client());
        let redemption = start(&mut registry, &key, &client(), "1");
        registry.remove(&key);
        assert!(!registry.finish_redemption(&key, &redemption, Some(token("2"))));
        registry.insert(one, Timestamp::from_unix_seconds(9));
        sign_in(&mut registry, &key, &client());
        assert!(!registry.finish_redemption(&key, &redemption, Some(token("2"))));
        assert!(registry.refresh_entry(&key, &client()).unwrap().pending_write().is_none());
    }

    #[test]
    fn a_refresh_that_lands_after_a_new_sign_in_does_not_replace_its_token() {
        let one = account("a.tid", "a@x");
        let key = AccountKey::of(&one);
        let mut registry = registry(&[one]);
        sign_in(&mut registry, &key, &client());
        let redemption = start(&mut registry, &key, &client(), "1");
        sign_in(&mut registry, &key, &client());
        let newer = start(&mut registry, &key, &client(), "9");
        assert!(registry.finish_redemption(&key, &redemption, Some(token("2"))));
        let pending_write =
            registry.refresh_entry(&key, &client()).unwrap().pending_write().unwrap();
        assert_eq!((pending_write.current.expose(), newer.refresh_token.expose()), ("9", "9"));
    }

    #[test]
    fn the_apps_of_a_family_share_one_chain_of_refresh_tokens_only_where_that_is_allowed() {
        let one = account("a.tid", "a@x");
        let key = AccountKey::of(&one);
        let mut registry = registry(&[one]);
        let (cli, ide) = (client(), ClientId::parse("ide").unwrap());
        let token_owner =
            |registry: &Registry, families| registry.token_owner(&key, &ide, families);
        sign_in(&mut registry, &key, &cli);
        assert!(
            token_owner(&registry, FamilyRefreshTokens::SameFamily).is_err(),
            "not a family's token"
        );
        registry.set_refresh(&key, cli.clone(), Some("1".into()));
        assert!(token_owner(&registry, FamilyRefreshTokens::Off).is_err());
        assert_eq!(token_owner(&registry, FamilyRefreshTokens::SameFamily).unwrap(), cli);
        let shared = start(&mut registry, &key, &cli, "2");
        assert!(registry.finish_redemption(&key, &shared, Some(token("3"))));
        let pending_write = registry.refresh_entry(&key, &cli).unwrap().pending_write().unwrap();
        assert_eq!(pending_write.current.expose(), "3");
        sign_in(&mut registry, &key, &ide);
        assert_eq!(token_owner(&registry, FamilyRefreshTokens::SameFamily).unwrap(), ide);
    }
}
