use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountsRequest, AuthorityHost, Broker, CancelRequest, ClientId, CorrelationId, Error,
    ErrorKind, InteractiveRequest, RemoveAccountRequest, Result, SignHttpRequest, SignInMethod,
    SignedHttpRequest, SilentRequest, Token, TokenParameters,
};

use keybearer_protocol::shr::ProofKey;

use crate::accounts::families::FamilyRefreshTokens;
use crate::accounts::refresh_entry::RefreshEntry;
use crate::accounts::registry::{Redemption, Registry};
use crate::deadline::{unless_cancelled, within};
use crate::effects::{Change, Effects, Record, RecordKey};
use crate::errors::sign_in_needed;
use crate::flights::{Flights, Ticket, lock};
use crate::provider::providers::Providers;
use crate::provider::throttle::Throttle;
use crate::refresh::cache::{CacheKey, ClockReading, TokenCache};
use crate::sign_in::interactive::{InteractiveKey, seen_in_browser};
use crate::store::record_name::{AccountKey, RecordName};
use crate::store::records::{
    StoredRefresh, decode_account, decode_refresh, encode_account, encode_refresh,
};
use crate::store::vault::Vault;

/// What the engine is told once, at the start.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "built field by field")]
pub struct EngineSettings {
    /// Authority hosts, beyond Microsoft's clouds, that are used without instance discovery.
    pub trusted_authority_hosts: BTreeSet<AuthorityHost>,
    /// Whether an app may use the refresh token of another app of its family.
    pub family_refresh_tokens: FamilyRefreshTokens,
    /// The loopback port for answers of browsers on other machines; default [`FORWARDED_PORT`].
    pub loopback_port: Option<u16>,
}

/// Where the answer of a browser on another machine is awaited unless the settings say otherwise. It
/// is always the same, so that a forwarding can be part of an SSH configuration.
pub const FORWARDED_PORT: u16 = 27410;

impl EngineSettings {
    pub(crate) fn forwarded_port(&self) -> u16 {
        self.loopback_port.unwrap_or(FORWARDED_PORT)
    }
}

/// The broker's brain: connected accounts, cached tokens, sign-ins. Clones share everything.
///
/// No lock is held across the network. Invariants kept here: I1 (refresh tokens stay inside), I3
/// and I4 (what is durable is sealed, and durable before it is used), I6 (one flight per key), I7
/// (deadlines), I8 (never another account), I9 (state, nonce, PKCE).
#[derive(Clone)]
pub struct Engine(Arc<EngineState>);

pub(crate) struct EngineState {
    pub(crate) effects: Effects,
    pub(crate) settings: EngineSettings,
    pub(crate) providers: Providers,
    pub(crate) refreshes: Flights<CacheKey, Token>,
    pub(crate) sign_ins: Flights<InteractiveKey, Token>,
    pub(crate) proof_keys: Flights<AccountKey, ProofKey>,
    sign_outs: Flights<AccountKey, ()>,
    waiting: crate::sign_in::pending::PendingRequests,
    state: Mutex<State>,
    vault: Vault,
    /// Held from reading the registry to the end of the commit, so that commits are in order.
    pub(crate) commit_turn: tokio::sync::Mutex<()>,
    unreadable_records: usize,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) registry: Registry,
    pub(crate) cache: TokenCache,
    pub(crate) throttle: Throttle,
}

impl Engine {
    /// Opens the store and connects the accounts in it. Records that cannot be read are left where
    /// they are and counted, see [`unreadable_records`](Self::unreadable_records).
    ///
    /// # Errors
    /// Those of [`KeyStore::master_key`](crate::KeyStore::master_key) and
    /// [`TokenStore::load`](crate::TokenStore::load).
    pub async fn open(effects: Effects, settings: EngineSettings) -> Result<Self> {
        let vault = Vault::new(&effects.keys.master_key().await?);
        let mut state = State::default();
        let unreadable_records = load(&mut state.registry, &vault, &effects).await?;
        Ok(Self(Arc::new(EngineState {
            effects,
            providers: Providers::new(settings.trusted_authority_hosts.clone()),
            settings,
            refreshes: Flights::default(),
            sign_ins: Flights::default(),
            proof_keys: Flights::default(),
            sign_outs: Flights::default(),
            waiting: Default::default(),
            state: Mutex::new(state),
            vault,
            commit_turn: Default::default(),
            unreadable_records,
        })))
    }

    /// How many stored records could not be read, because they are damaged or were sealed with
    /// another key. Their accounts have to sign in again.
    #[must_use]
    pub fn unreadable_records(&self) -> usize {
        self.0.unreadable_records
    }

    /// How many accounts are connected.
    #[must_use]
    pub fn account_count(&self) -> usize {
        self.0.state().registry.len()
    }

    /// How many sign-ins, refreshes and sign-outs are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.refreshes.len() + self.0.sign_ins.len() + self.0.sign_outs.len()
    }
}

/// Reads every record. By their keys accounts come first: a refresh token without its account is
/// useless.
async fn load(registry: &mut Registry, vault: &Vault, effects: &Effects) -> Result<usize> {
    let mut unreadable = 0;
    let mut after: Option<RecordKey> = None;
    loop {
        let page = effects.store.load(after.as_ref()).await?;
        let last = page.last().map(|record| record.key.clone());
        for record in page {
            if let Err(error) = restore(registry, vault, &record) {
                tracing::warn!(%error, "a stored record cannot be read; its account has to sign in again");
                unreadable += 1;
            }
        }
        // A damaged store may have its keys out of order; that must not keep us here for ever.
        if last.is_none() || last <= after {
            return Ok(unreadable);
        }
        after = last;
    }
}

fn restore(registry: &mut Registry, vault: &Vault, record: &Record) -> Result<()> {
    let plaintext = vault.open(record)?;
    match RecordName::parse(&record.key) {
        Some(RecordName::Account(key)) => {
            let (account, signed_in) = decode_account(&key, &plaintext)?;
            registry.insert(account, signed_in);
        }
        Some(RecordName::ProofKey(key)) => {
            registry.set_proof_key(&key, ProofKey::from_pkcs8(&plaintext)?);
        }
        Some(RecordName::Refresh(key, client)) => {
            registry.set_refresh(&key, client, decode_refresh(&plaintext)?.family);
        }
        None => {}
    }
    Ok(())
}

impl EngineState {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.effects.random.fill(&mut bytes);
        bytes
    }

    pub(crate) fn moment(&self) -> ClockReading {
        ClockReading { now: self.effects.clock.now(), uptime: self.effects.clock.uptime() }
    }

    /// Keeps a token, unless its account has been account_removed meanwhile.
    pub(crate) fn remember(&self, key: CacheKey, token: Token) {
        let moment = self.moment();
        let mut state = self.state();
        if state.registry.contains(&key.account) {
            state.cache.insert(key, token, moment);
        }
    }

    /// Starts to redeem the refresh token of an account that serves an app, which is read from the
    /// store unless it is being redeemed already.
    pub(crate) async fn start_redemption(
        &self,
        account: &AccountKey,
        client: &ClientId,
    ) -> Result<Redemption> {
        let families = self.settings.family_refresh_tokens;
        {
            let mut state = self.state();
            let token_owner = state.registry.token_owner(account, client, families)?;
            if let Some(redemption) = state.registry.start(account, &token_owner) {
                return Ok(redemption);
            }
        }
        // Until the turn ends, the store stays as it is read here.
        let _turn = self.commit_turn.lock().await;
        let token_owner = self.state().registry.token_owner(account, client, families)?;
        let stored = self.read_refresh(account, &token_owner).await?;
        let mut state = self.state();
        state.registry.hold(account, &token_owner, stored);
        let redemption = state.registry.start(account, &token_owner);
        redemption.ok_or_else(|| Error::internal("find a refresh token"))
    }

    async fn read_refresh(&self, account: &AccountKey, client: &ClientId) -> Result<StoredRefresh> {
        let name = RecordName::Refresh(account.clone(), client.clone());
        let record = self.effects.store.read(&name.key()).await?;
        let gone = || sign_in_needed("the refresh token is gone from the store".to_owned());
        let record = record.ok_or_else(gone)?;
        let stored = self.vault.open(&record).and_then(|plaintext| decode_refresh(&plaintext));
        stored.map_err(|error| {
            let message = "the stored refresh token cannot be read any more".to_owned();
            sign_in_needed(message).with_source(error)
        })
    }

    /// Makes the refresh token of an account for an app durable, as it is now, or its absence
    /// (invariant I3). Only then may it be used.
    pub(crate) async fn persist(&self, account: &AccountKey, client: &ClientId) -> Result<()> {
        let _turn = self.commit_turn.lock().await;
        let known = {
            let state = self.state();
            state.registry.refresh_entry(account, client).map(RefreshEntry::pending_write)
        };
        let pending_write = match known {
            // Another flight has done it.
            Some(None) => return Ok(()),
            known => known.flatten(),
        };
        let change = self.refresh_change(account, client, pending_write.as_ref())?;
        self.effects.store.commit(vec![change]).await?;
        if let Some(stored) = pending_write {
            self.state().registry.set_durable(account, client, &stored.current);
        }
        Ok(())
    }

    /// Connects an account, with a refresh token for the app if there is one: first durably, then
    /// in memory.
    pub(crate) async fn connect(
        &self,
        account: Account,
        client: &ClientId,
        refresh: Option<StoredRefresh>,
    ) -> Result<()> {
        let _turn = self.commit_turn.lock().await;
        let (key, now) = (AccountKey::of(&account), self.effects.clock.now());
        let account = self.state().registry.listed(account);
        let name = RecordName::Account(key.clone());
        let mut changes = vec![self.put(&name, &encode_account(&account, now)?)?];
        if refresh.is_some() {
            changes.push(self.refresh_change(&key, client, refresh.as_ref())?);
        }
        self.effects.store.commit(changes).await?;
        let mut state = self.state();
        state.registry.insert(account, now);
        if let Some(stored) = refresh {
            state.registry.set_refresh(&key, client.clone(), stored.family);
        }
        Ok(())
    }

    fn refresh_change(
        &self,
        account: &AccountKey,
        client: &ClientId,
        stored: Option<&StoredRefresh>,
    ) -> Result<Change> {
        let name = RecordName::Refresh(account.clone(), client.clone());
        match stored {
            Some(stored) => self.put(&name, &encode_refresh(stored)?),
            None => Ok(Change::Delete(name.key())),
        }
    }

    pub(crate) fn put(&self, name: &RecordName, plaintext: &[u8]) -> Result<Change> {
        self.vault.seal(&*self.effects.random, name.key(), plaintext).map(Change::Put)
    }

    /// Starts to forget an account. It goes on without the caller: the write cannot be called back,
    /// and what is gone from the store must not stay in memory.
    fn sign_out(self: &Arc<Self>, account: &AccountKey) -> Ticket<AccountKey, ()> {
        let (inner, owner) = (Arc::clone(self), account.clone());
        let start = move |_| async move { inner.forget(&owner).await };
        self.sign_outs.join(&*self.effects.spawner, account, start)
    }

    /// Forgets an account: first durably, then in memory.
    async fn forget(&self, account: &AccountKey) -> Result<()> {
        let _turn = self.commit_turn.lock().await;
        let clients = self.state().registry.clients(account);
        let refresh = clients.into_iter().map(|id| RecordName::Refresh(account.clone(), id));
        let own = [RecordName::Account(account.clone()), RecordName::ProofKey(account.clone())];
        let names = own.into_iter().chain(refresh);
        let changes = names.map(|name| Change::Delete(name.key())).collect();
        self.effects.store.commit(changes).await?;
        let mut state = self.state();
        state.registry.remove(account);
        state.cache.remove_account(account);
        Ok(())
    }

    /// Gives the operation an id if the caller sent none.
    fn correlated(&self, parameters: &mut TokenParameters) {
        if parameters.correlation_id.is_empty() {
            parameters.correlation_id = CorrelationId::from_random(self.random());
        }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        id: &CorrelationId,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        within(&*self.effects.clock, limit, what, work)
            .await
            .map_err(|error| error.with_correlation_id(id.clone()))
    }
}

impl EngineState {
    /// An error of running out of time, with what may have taken it: the provider if it has not
    /// said anything yet, or else `unfinished`.
    fn explained(&self, error: Error, host: &AuthorityHost, unfinished: Option<String>) -> Error {
        if *error.kind() != ErrorKind::TimedOut {
            return error;
        }
        let hint = if self.providers.has_described(host) {
            unfinished
        } else {
            Some(format!("{host} has not answered; check the network, the proxy and the authority"))
        };
        hint.into_iter().fold(error, Error::with_hint)
    }
}

const UNFINISHED: &str = "finish the sign-in in the browser in time";

#[async_trait]
impl Broker for Engine {
    fn name(&self) -> &str {
        "keybearer"
    }

    async fn accounts(&self, _request: AccountsRequest) -> Result<Vec<Account>> {
        Ok(self.0.state().registry.accounts())
    }

    async fn acquire_silent(&self, mut request: SilentRequest) -> Result<Token> {
        self.0.correlated(&mut request.parameters);
        let parameters = &request.parameters;
        let id = &parameters.correlation_id;
        let work = async {
            self.0.providers.check_trust(&self.0.effects, &parameters.authority, id).await?;
            self.0.silent(parameters).await
        };
        let answer = self.0.within(parameters.timeout, "the silent request", id, work).await;
        answer.map_err(|error| self.0.explained(error, parameters.authority.host(), None))
    }

    async fn acquire_interactive(&self, mut request: InteractiveRequest) -> Result<Token> {
        self.0.correlated(&mut request.parameters);
        let (id, limit) = (request.parameters.correlation_id.clone(), request.parameters.timeout);
        let host = request.parameters.authority.host().clone();
        // A provider that refuses the redirect URI says so in the browser only.
        let on_this_device = request.sign_in_options.method != SignInMethod::DeviceCode;
        let unfinished = on_this_device.then(|| seen_in_browser(UNFINISHED));
        let registration = self.0.waiting.register(request.parameters.caller.id.clone());
        let work = async {
            let authority = &request.parameters.authority;
            self.0.providers.check_trust(&self.0.effects, authority, &id).await?;
            Box::pin(self.0.join_sign_in(request)).await
        };
        let work = unless_cancelled(registration.cancelled(), work);
        let answer = self.0.within(limit, "the sign-in", &id, work).await;
        answer.map_err(|error| self.0.explained(error, &host, unfinished))
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let keys = self.0.state().registry.keys_of(&request.home_account_id);
        if keys.is_empty() {
            let message = format!("the account {} is not connected", request.home_account_id);
            return Err(Error::invalid_request("account", message)
                .with_correlation_id(request.correlation_id));
        }
        let sign_outs: Vec<_> = keys.iter().map(|key| self.0.sign_out(key)).collect();
        let work = async {
            for sign_out in sign_outs {
                sign_out.landed().await?;
            }
            Ok(())
        };
        self.0.within(request.timeout, "the sign-out", &request.correlation_id, work).await
    }

    async fn sign_http_request(&self, request: SignHttpRequest) -> Result<SignedHttpRequest> {
        let work = self.0.sign_http(&request);
        self.0.within(request.timeout, "the signature", &request.correlation_id, work).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        self.0.waiting.cancel(&request.caller.id);
        Ok(())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
