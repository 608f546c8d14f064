use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keybearer_core::{
    AccountChoice, Authority, Broker, Caller, Capabilities, Claims, CorrelationId, Error,
    ErrorKind, HomeAccountId, InteractiveRequest, Prompt, Result, ScopeSet, SilentRequest, Tenant,
    Token, TokenParameters,
};
use keybearer_engine::{Clock, Random};
use keybearer_host::{Environment, SystemClock, SystemRandom};

use crate::cache::{Hit, Query, TokenCache};
use crate::chain::{LocalBroker, LocalBrokerOptions};
use crate::options::{CredentialOptions, Settings};
use crate::runtime::background;
use crate::tenant::{Allowed, resolve};

/// What one call asks for.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "the credential crates build it field by field")]
pub struct TokenQuery<'a> {
    /// The scopes, all of one resource.
    pub scopes: &'a [&'a str],
    /// Another directory than the credential's own.
    pub tenant_id: Option<&'a str>,
    /// A claims challenge, as decoded JSON.
    pub claims: Option<&'a str>,
    /// Whether the caller handles claims challenges (continuous access evaluation).
    pub enable_cae: bool,
}

/// A brokered credential without any SDK's types. Clones share the cache and the broker.
///
/// One call ends within the options' timeout, whatever the broker, the provider or the person does
/// (invariant I7). Once an account has signed in, this credential stays with it (invariant I8).
#[derive(Clone, Debug)]
pub struct Credential(Arc<Inner>);

struct Inner {
    settings: Settings,
    single_tenant: bool,
    broker: Arc<dyn Broker>,
    cache: TokenCache,
    account: Mutex<Option<HomeAccountId>>,
}

/// Whoever was asked ends at the limit too, and says why; its answer gets this long to arrive.
const ANSWER_TIME: Duration = Duration::from_millis(150);

/// A query, parsed.
#[derive(Clone)]
struct Wanted {
    scopes: ScopeSet,
    tenant: Tenant,
    claims: Option<Claims>,
    cae: bool,
}

impl Credential {
    /// A credential that asks this machine's broker. Nothing is contacted yet.
    ///
    /// # Errors
    /// `InvalidRequest` names the option that is wrong.
    pub fn new(options: &CredentialOptions) -> Result<Self> {
        let environment = Environment::current();
        let settings = Settings::new(options, environment.text("AZURE_AUTHORITY_HOST"))?;
        let mut broker = LocalBrokerOptions {
            choice: options.broker,
            parent_window: options.parent_window,
            ..Default::default()
        };
        if options.disable_instance_discovery {
            broker.trusted_authority_hosts.insert(settings.host.clone());
        }
        let broker = Arc::new(LocalBroker::new(environment.clone(), broker));
        Ok(Self::assemble(settings, &environment, broker))
    }

    /// A credential that asks the given broker, for tests and for programs that bring their own.
    ///
    /// # Errors
    /// `InvalidRequest` names the option that is wrong.
    pub fn with_broker(options: &CredentialOptions, broker: Arc<dyn Broker>) -> Result<Self> {
        let settings = Settings::new(options, None)?;
        Ok(Self::assemble(settings, &Environment::default(), broker))
    }

    fn assemble(settings: Settings, environment: &Environment, broker: Arc<dyn Broker>) -> Self {
        let single_tenant = environment.has("AZURE_IDENTITY_DISABLE_MULTITENANTAUTH");
        let account = Mutex::new(settings.home_account_id.clone());
        let cache = TokenCache::default();
        Self(Arc::new(Inner { settings, single_tenant, broker, cache, account }))
    }

    /// How long one call may take in all.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.0.settings.timeout
    }

    /// A token this credential still has; `None` means that somebody has to be asked. Takes no
    /// lock, and asks for a renewal in the background when it is time.
    ///
    /// # Errors
    /// `InvalidRequest` names the part of the query that is wrong.
    pub fn cached(&self, query: TokenQuery<'_>) -> Result<Option<Arc<Token>>> {
        let tenant_id = query.tenant_id.filter(|id| !id.is_empty());
        let resolved;
        let tenant = match tenant_id {
            None => &self.0.settings.tenant,
            Some(_) => {
                resolved = self.0.resolve(tenant_id)?;
                &resolved
            }
        };
        let claims = query.claims.map_or(Ok(None), Claims::parse)?;
        let lookup =
            Query { scopes: query.scopes, tenant, claims: claims.as_ref(), cae: query.enable_cae };
        Ok(match self.0.cache.find(lookup, SystemClock.now()) {
            None => None,
            Some(Hit::Fresh(token)) => Some(token),
            Some(Hit::Renew(token)) => {
                self.renew_in_background(query);
                Some(token)
            }
        })
    }

    /// A token: from this credential, from the broker, or with the person's help. Needs no async
    /// runtime; the work goes on in the background if the caller leaves.
    ///
    /// # Errors
    /// Every kind; `TimedOut` after the options' timeout.
    pub async fn acquire(&self, query: TokenQuery<'_>) -> Result<Arc<Token>> {
        if let Some(token) = self.cached(query)? {
            return Ok(token);
        }
        let (wanted, inner) = (self.0.parse(query)?, Arc::clone(&self.0));
        let work = background()?.spawn(async move { inner.ask_in_time(wanted).await });
        let abort = AbortOnDrop(work.abort_handle());
        let result = work.await;
        drop(abort);
        result.unwrap_or_else(|error| {
            Err(Error::internal("the request ended without a result").with_source(error))
        })
    }

    /// As [`acquire`](Self::acquire), for callers that cannot await. Every 50 ms `interrupted` is
    /// asked whether to give up.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire); `Cancelled` if interrupted.
    pub fn acquire_blocking(
        &self,
        query: TokenQuery<'_>,
        mut interrupted: impl FnMut() -> bool,
    ) -> Result<Arc<Token>> {
        const PATIENCE: Duration = Duration::from_millis(50);
        if let Some(token) = self.cached(query)? {
            return Ok(token);
        }
        let (wanted, inner) = (self.0.parse(query)?, Arc::clone(&self.0));
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let work = background()?.spawn(async move {
            // Nobody listens any more if the caller was interrupted.
            let _ = answer.send(inner.ask_in_time(wanted).await);
        });
        let _abort = AbortOnDrop(work.abort_handle());
        loop {
            match receive(&answered, PATIENCE) {
                Ok(result) => return result,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) if interrupted() => {
                    return Err(Error::cancelled("the program was interrupted"));
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(Error::internal("the request ended without a result"));
                }
            }
        }
    }

    fn renew_in_background(&self, query: TokenQuery<'_>) {
        let (Ok(wanted), Ok(runtime)) = (self.0.parse(query), background()) else { return };
        let inner = Arc::clone(&self.0);
        runtime.spawn(async move {
            let parameters = inner.parameters(&wanted, inner.settings.timeout);
            match inner.broker.acquire_silent(SilentRequest { parameters }).await {
                Ok(token) => drop(inner.keep(&wanted, token)),
                Err(error) => tracing::debug!(%error, "renewal in the background failed"),
            }
        });
    }
}

impl Inner {
    fn resolve(&self, tenant_id: Option<&str>) -> Result<Tenant> {
        let allowed = Allowed {
            own: &self.settings.tenant,
            additionally: &self.settings.additionally_allowed_tenants,
            single: self.single_tenant,
        };
        resolve(allowed, tenant_id)
    }

    fn parse(&self, query: TokenQuery<'_>) -> Result<Wanted> {
        Ok(Wanted {
            scopes: ScopeSet::parse(query.scopes)?,
            tenant: self.resolve(query.tenant_id)?,
            claims: query.claims.map_or(Ok(None), Claims::parse)?,
            cae: query.enable_cae,
        })
    }

    async fn ask_in_time(&self, wanted: Wanted) -> Result<Arc<Token>> {
        let limit = self.settings.timeout;
        let asking = self.ask(&wanted, Instant::now() + limit);
        let asked = tokio::time::timeout(limit + ANSWER_TIME, asking).await;
        asked.unwrap_or_else(|_| {
            let message = format!("no token was had within {:.1} s", limit.as_secs_f32());
            Err(Error::timed_out(message))
        })
    }

    /// Silently, and with the person only if there is no other way.
    async fn ask(&self, wanted: &Wanted, deadline: Instant) -> Result<Arc<Token>> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let parameters = self.parameters(wanted, left());
        let refusal = match self.broker.acquire_silent(SilentRequest { parameters }).await {
            Ok(token) => return Ok(self.keep(wanted, token)),
            Err(error) => error,
        };
        let ErrorKind::InteractionRequired { claims, .. } = refusal.kind() else {
            return Err(refusal);
        };
        if self.settings.disable_automatic_authentication {
            return Err(refusal);
        }
        tracing::debug!(error = %refusal, "a person has to take part");
        let mut parameters = self.parameters(wanted, left());
        parameters.claims = parameters.claims.or_else(|| claims.clone());
        let request = InteractiveRequest { parameters, prompt: Prompt::IfNeeded };
        let token = self.broker.acquire_interactive(request).await?;
        Ok(self.keep(wanted, token))
    }

    fn parameters(&self, wanted: &Wanted, timeout: Duration) -> TokenParameters {
        let settings = &self.settings;
        let mut random = [0; 16];
        SystemRandom.fill(&mut random);
        TokenParameters {
            authority: Authority::new(settings.host.clone(), wanted.tenant.clone()),
            client_id: settings.client_id.clone(),
            redirect_uri: settings.redirect_uri.clone(),
            scopes: wanted.scopes.clone(),
            account: self.account(),
            claims: wanted.claims.clone(),
            capabilities: if wanted.cae {
                Capabilities::continuous_access_evaluation()
            } else {
                Capabilities::default()
            },
            access_token_to_renew: None,
            extra_query: Default::default(),
            correlation_id: CorrelationId::from_random(random),
            timeout,
            caller: Caller::in_process(),
        }
    }

    fn account(&self) -> AccountChoice {
        let known = self.account.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (known, &self.settings.login_hint) {
            (Some(id), _) => AccountChoice::Exact(id),
            (None, Some(username)) => AccountChoice::LoginHint(username.clone()),
            (None, None) if self.settings.use_default_broker_account => AccountChoice::Default,
            (None, None) => AccountChoice::Only,
        }
    }

    /// Keeps the token, and the account for every later request.
    fn keep(&self, wanted: &Wanted, token: Token) -> Arc<Token> {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.get_or_insert_with(|| token.account.home_account_id.clone());
        drop(account);
        let token = Arc::new(token);
        let scopes: Vec<&str> = wanted.scopes.iter().collect();
        let query = Query {
            scopes: &scopes,
            tenant: &wanted.tenant,
            claims: wanted.claims.as_ref(),
            cae: wanted.cae,
        };
        self.cache.insert(query, &wanted.scopes, &token);
        token
    }
}

#[cfg(windows)]
use crate::windows::receive;

/// Waits for a value, so long.
#[cfg(not(windows))]
fn receive<T>(
    from: &std::sync::mpsc::Receiver<T>,
    patience: Duration,
) -> Result<T, std::sync::mpsc::RecvTimeoutError> {
    from.recv_timeout(patience)
}

/// A caller that leaves ends its own wait; the broker goes on if others wait for the same.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("settings", &self.settings)
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}
