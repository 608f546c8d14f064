use std::sync::Arc;

use anyhow::Result;
use keybearer_core::{AccountChoice, Broker, Prompt, ScopeSet, SilentRequest};
use keybearer_engine::{Effects, Engine, EngineSettings, KeyStore, TokenStore};
use keybearer_host::{EphemeralKeys, MemoryStore, RuntimeSpawner, SystemRandom};
use keybearer_testkit::effects::{
    Conduct, ManualClock, ScriptedHttp, ScriptedPerson, SeededRandom,
};
use keybearer_testkit::engine_harness;
use keybearer_testkit::leak::Secrets;
use keybearer_testkit::provider::{CONTOSO, DEV, FakeProvider, User};

use crate::provider::QuickProvider;
use crate::shifted_clock::ShiftedClock;

/// An engine with real effects, except for the provider and the person.
#[derive(Debug)]
pub struct EngineAt {
    /// The engine.
    pub engine: Engine,
    /// The person who signs in.
    pub person: ScriptedPerson,
    http: ScriptedHttp,
}

impl EngineAt {
    /// Opens an engine on this store.
    ///
    /// # Errors
    /// If the store does not open.
    pub async fn open(store: Arc<dyn TokenStore>, keys: Arc<dyn KeyStore>) -> Result<Self> {
        let secrets = Secrets::default();
        let provider =
            FakeProvider::new(ManualClock::default(), SeededRandom::new(1), secrets.clone());
        let person = ScriptedPerson::new(provider.clone(), DEV);
        let http = ScriptedHttp::new(provider, secrets);
        let effects = Effects {
            http: Arc::new(QuickProvider::new(http.clone())),
            clock: Arc::new(ShiftedClock::default()),
            random: Arc::new(SystemRandom),
            store,
            keys,
            sign_in_ui: Arc::new(person.clone()),
            spawner: Arc::new(RuntimeSpawner::current()),
        };
        let engine = Engine::open(effects, EngineSettings::default()).await?;
        Ok(Self { engine, person, http })
    }

    /// Signs a user in.
    ///
    /// # Errors
    /// If the sign-in fails.
    pub async fn sign_in(&self, user: User) -> Result<()> {
        self.person.will(Conduct::SignsIn(user));
        self.engine
            .acquire_interactive(engine_harness::interactive(
                engine_harness::STORAGE,
                Prompt::Login,
            ))
            .await?;
        self.person.forget();
        self.http.forget();
        Ok(())
    }

    /// Signs this number of different users in.
    ///
    /// # Errors
    /// If the sign-in fails.
    pub async fn sign_in_others(&self, count: usize) -> Result<()> {
        for number in 0..count {
            // Leaked, because the doubles take users with static names.
            let text = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
            self.sign_in(User {
                username: text(format!("person{number}@contoso.example")),
                name: text(format!("Person {number}")),
                oid: text(format!("bbbbbbbb-0000-4000-8000-{number:012}")),
                home: CONTOSO,
            })
            .await?;
        }
        Ok(())
    }
}

/// An engine in memory with this number of accounts, and this number of cached tokens for the account
/// that signed in last.
///
/// # Errors
/// If filling it fails.
pub async fn filled_engine(accounts: usize, tokens: usize) -> Result<Engine> {
    let keys = Arc::new(EphemeralKeys::new(&SystemRandom));
    let at = EngineAt::open(Arc::new(MemoryStore::default()), keys).await?;
    at.sign_in_others(accounts.saturating_sub(1)).await?;
    at.sign_in(DEV).await?;
    for number in 0..tokens {
        let mut request = silent_request(number)?;
        request.parameters.account = AccountChoice::LoginHint(DEV.username.to_owned());
        at.engine.acquire_silent(request).await?;
    }
    Ok(at.engine)
}

/// The request for the token with this number.
///
/// # Errors
/// Never: the scope is well formed.
pub fn silent_request(number: usize) -> Result<SilentRequest> {
    let mut request = engine_harness::silent(engine_harness::STORAGE);
    request.parameters.scopes = ScopeSet::parse(&[format!("https://r{number}.example/.default")])?;
    Ok(request)
}
