//! An engine with doubles of all its effects, a captured log, and the leak check at the end.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot continue fails at once"
)]

use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{
    Account, AccountChoice, AccountsRequest, Authority, AuthorityHost, Broker, Caller, CallerId,
    CancelRequest, Capabilities, Claims, ClientId, CorrelationId, HomeAccountId,
    InteractiveRequest, Prompt, RemoveAccountRequest, Result, ScopeSet, SilentRequest, Token,
    TokenParameters,
};
use keybearer_engine::{Change, Effects, Engine, EngineSettings};

use crate::effects::{
    Conduct, FixedKeys, ManualClock, MemoryStore, Pick, ScriptedHttp, ScriptedPerson, SeededRandom,
    TokioSpawner,
};
use crate::leak::{CapturedLog, Secrets};
use crate::provider::{APP, DEV, FakeProvider, User};
use crate::sample::deadline;

/// The usual scope of tests.
pub const STORAGE: &str = "https://storage.azure.com/.default";

/// Another scope.
pub const MANAGEMENT: &str = "https://management.azure.com/.default";

/// The doubles around an engine. When it is dropped, it searches the log (at the level TRACE) and the
/// store for every secret that occurred (invariants I4 and I5).
#[derive(Debug)]
pub struct EngineHarness {
    /// Time.
    pub clock: ManualClock,
    /// Randomness of the engine.
    pub random: SeededRandom,
    /// The records; replaced by [`restart`](Self::restart).
    pub store: MemoryStore,
    /// The provider.
    pub provider: FakeProvider,
    /// The network.
    pub http: ScriptedHttp,
    /// The person.
    pub person: ScriptedPerson,
    /// The engine's work.
    pub spawner: TokioSpawner,
    /// Every secret that occurred.
    pub secrets: Secrets,
    /// The captured log.
    pub log: CapturedLog,
    /// The settings with which the engine starts.
    pub settings: EngineSettings,
}

impl Default for EngineHarness {
    fn default() -> Self {
        Self::new(1)
    }
}

impl EngineHarness {
    /// Doubles without connected accounts, with random bytes from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let (clock, secrets) = (ManualClock::default(), Secrets::default());
        let provider = FakeProvider::new(clock.clone(), SeededRandom::new(!seed), secrets.clone());
        Self {
            clock,
            random: SeededRandom::new(seed),
            store: MemoryStore::default(),
            http: ScriptedHttp::new(provider.clone(), secrets.clone()),
            person: ScriptedPerson::new(provider.clone(), DEV),
            provider,
            spawner: TokioSpawner::default(),
            secrets,
            log: CapturedLog::start(),
            settings: EngineSettings::default(),
        }
    }

    /// The doubles as effects of the engine.
    #[must_use]
    pub fn effects(&self) -> Effects {
        Effects {
            http: Arc::new(self.http.clone()),
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(self.random.clone()),
            store: Arc::new(self.store.clone()),
            keys: Arc::new(FixedKeys::default()),
            sign_in_ui: Arc::new(self.person.clone()),
            spawner: Arc::new(self.spawner.clone()),
        }
    }

    /// An engine that opens the store.
    ///
    /// # Panics
    /// If the store does not open.
    pub async fn engine(&self) -> Engine {
        Engine::open(self.effects(), self.settings.clone()).await.expect("the store opens")
    }

    /// Aborts the engine's tasks, as a crash does, and opens the store again.
    pub async fn restart(&mut self) -> Engine {
        self.spawner.crash();
        self.store = self.store.after_crash();
        self.engine().await
    }

    /// Connects an account by signing in, and clears the records of that. The engine's cache then has a
    /// token for [`STORAGE`].
    ///
    /// # Panics
    /// If the sign-in fails.
    pub async fn connect(&self, engine: &Engine, user: User) -> Token {
        self.person.will(Conduct::SignsIn(user));
        self.person.will_pick(Pick::Another);
        let token = engine.acquire_interactive(interactive(STORAGE, Prompt::Login)).await;
        self.http.forget();
        self.person.forget();
        token.expect("the person signs in")
    }

    /// An engine to which `user` is connected, with an empty cache.
    pub async fn connected(&self, user: User) -> Engine {
        self.connect(&self.engine().await, user).await;
        self.engine().await
    }

    /// Searches the printed form of a caller's result for secrets.
    ///
    /// # Panics
    /// If there is one (invariant I5).
    pub fn check_result<T: std::fmt::Debug>(&self, result: &Result<T>) {
        let shown = format!("{result:?} {result:#?}");
        self.secrets.assert_none_in("the printed result", shown.as_bytes());
        if let Err(error) = result {
            let causes: Vec<String> = error.causes().collect();
            let shown = format!("{error} {causes:?}");
            self.secrets.assert_none_in("the error", shown.as_bytes());
        }
    }

    /// Checks that every record so far was sealed (invariant I4).
    fn check_store(&self) {
        let mut stored = Vec::new();
        for change in self.store.history() {
            if let Change::Put(record) = change {
                stored.extend_from_slice(record.key.0.as_bytes());
                stored.extend_from_slice(&record.value.0);
            }
        }
        self.secrets.assert_none_in("the store", &stored);
    }
}

impl Drop for EngineHarness {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.secrets.assert_none_in("the log", self.log.text().as_bytes());
            self.check_store();
        }
    }
}

/// The default parameters of a request for a scope: the public cloud, any work account, the only
/// account, one minute.
///
/// # Panics
/// If the scope is invalid.
#[must_use]
pub fn parameters(scope: &str) -> TokenParameters {
    TokenParameters {
        authority: Authority::parse("https://login.microsoftonline.com/organizations").unwrap(),
        client_id: ClientId::parse(APP).unwrap(),
        redirect_uri: None,
        scopes: ScopeSet::parse(&[scope]).unwrap(),
        account: AccountChoice::Only,
        claims: None,
        capabilities: Capabilities::default(),
        access_token_to_renew: None,
        proof_of_possession: None,
        extra_query: Default::default(),
        correlation_id: CorrelationId::default(),
        deadline: deadline(Duration::from_secs(60)),
        caller: Caller::in_process(),
    }
}

/// A silent request with [`parameters`].
#[must_use]
pub fn silent(scope: &str) -> SilentRequest {
    SilentRequest { parameters: parameters(scope) }
}

/// An interactive request with [`parameters`].
#[must_use]
pub fn interactive(scope: &str, prompt: Prompt) -> InteractiveRequest {
    InteractiveRequest::new(parameters(scope), prompt)
}

/// Exactly this account.
///
/// # Panics
/// Never: the users' ids are well formed.
#[must_use]
pub fn exactly(user: User) -> AccountChoice {
    AccountChoice::Exact(HomeAccountId::parse(&user.home_account_id()).unwrap())
}

/// The claims of a challenge.
///
/// # Panics
/// Never: the text is a claims request.
#[must_use]
pub fn challenge() -> Option<Claims> {
    Claims::parse(r#"{"access_token":{"nbf":{"essential":true,"value":"1800000000"}}}"#).unwrap()
}

/// Cancels the requests of a caller.
#[must_use]
pub fn cancel(caller: &str) -> CancelRequest {
    CancelRequest { caller: Caller { id: CallerId::new(caller), process: None } }
}

/// The user names of the connected accounts, the one used last first.
///
/// # Panics
/// If the engine returns an error.
pub async fn usernames(engine: &Engine) -> Vec<String> {
    let request = AccountsRequest {
        client_id: None,
        correlation_id: CorrelationId::default(),
        deadline: deadline(Duration::from_secs(1)),
    };
    let accounts = engine.accounts(request).await.expect("the accounts");
    accounts.into_iter().map(|account: Account| account.username).collect()
}

/// Signs an account out.
///
/// # Errors
/// Those of the engine.
pub async fn remove(engine: &Engine, user: User) -> Result<()> {
    let request = RemoveAccountRequest {
        home_account_id: HomeAccountId::parse(&user.home_account_id())?,
        correlation_id: CorrelationId::default(),
        deadline: deadline(Duration::from_secs(60)),
    };
    engine.remove_account(request).await
}

/// Adds a host to those that the engine's settings trust.
///
/// # Panics
/// If it is not a host.
#[must_use]
pub fn trusting(host: &str) -> EngineSettings {
    let hosts = [AuthorityHost::parse(host).unwrap()];
    EngineSettings { trusted_authority_hosts: hosts.into(), ..EngineSettings::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "the log shows secrets: {\"access token\"} (invariant I5)")]
    async fn a_token_in_the_log_fails_the_test_inv_i5() {
        let world = EngineHarness::default();
        let token = world.connect(&world.engine().await, DEV).await;
        tracing::trace!(canary = token.access_token.expose(), "got a token");
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "the store shows secrets: {\"refresh token\"} (invariant I5)")]
    async fn a_refresh_token_that_is_not_sealed_fails_the_test_inv_i4() {
        let world = EngineHarness::default();
        let secret = "1.rt-canary-0123456789";
        world.secrets.note("refresh token", secret);
        let record = keybearer_engine::Record {
            key: keybearer_engine::RecordKey("canary".into()),
            value: keybearer_engine::SealedRecord(secret.into()),
        };
        world.effects().store.commit(vec![Change::Put(record)]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "the error shows secrets")]
    async fn a_token_in_the_cause_of_an_error_fails_the_test_inv_i5() {
        let world = EngineHarness::default();
        let token = world.connect(&world.engine().await, DEV).await;
        let cause = std::io::Error::other(token.access_token.expose().to_owned());
        let middle = keybearer_core::Error::internal("middle").with_source(cause);
        world.check_result::<()>(&Err(keybearer_core::Error::internal("x").with_source(middle)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_engine_logs_is_captured_at_trace() {
        let world = EngineHarness::default();
        let engine = world.connected(DEV).await;
        engine.acquire_silent(silent(STORAGE)).await.unwrap();
        world.clock.advance(Duration::from_secs(1800)).await;
        engine.acquire_silent(silent(STORAGE)).await.unwrap();
        assert!(world.log.text().contains("renewing the token in the background"));
    }
}
