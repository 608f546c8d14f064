use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use keybearer_core::{
    AccountChoice, Authority, Broker, Caller, Capabilities, Claims, CorrelationId, Deadline, Error,
    ErrorKind, HomeAccountId, InteractiveRequest, Missing, Prompt, Result, ScopeSet, SilentRequest,
    Tenant, Token, TokenParameters, grace,
};
use keybearer_engine::{ClockReading, Random};
use keybearer_host::{Environment, SystemClock, SystemRandom};
use keybearer_native::limit::{deadline_after, now, within};

use crate::cache::{CacheLookup, CachedToken, TokenCache};
use crate::chain::{LocalBroker, LocalBrokerOptions};
use crate::flights::{Boarding, Flights};
use crate::options::{CredentialOptions, PromptPolicy, Settings};
use crate::per_process::PerProcess;
use crate::query::{ParsedQuery, Purpose, TokenQuery};
use crate::record::AuthenticationRecord;
use crate::runtime::background;
use crate::tenant::{Allowed, resolve};

/// A brokered credential without any SDK's types. Clones share the cache and the broker.
///
/// One call ends within the options' timeout, even if the broker, the provider or the person does
/// not answer (promise I7). Once an account has signed in, this credential stays with it (promise I8).
#[derive(Clone, Debug)]
pub struct Credential(Arc<CredentialState>);

struct CredentialState {
    settings: Settings,
    single_tenant: bool,
    broker: Arc<dyn Broker>,
    cache: TokenCache,
    flights: PerProcess<Flights<ParsedQuery, Result<Arc<Token>>>>,
    account: ArcSwapOption<HomeAccountId>,
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
            program_directory: options.program_directory.clone(),
            parent_window: options.parent_window,
            http: options.http.clone(),
            sign_in_ui: options.sign_in_ui.clone(),
            ..Default::default()
        };
        if options.disable_instance_discovery {
            broker.trusted_authority_hosts.insert(settings.host.clone());
        }
        let broker = LocalBroker::shared(environment.clone(), broker);
        Ok(Self::assemble(settings, &environment, broker))
    }

    /// A credential that asks the given broker, for tests and for programs that bring their own.
    /// The environment is not read.
    ///
    /// # Errors
    /// `InvalidRequest` names the option that is wrong.
    pub fn with_broker(options: &CredentialOptions, broker: Arc<dyn Broker>) -> Result<Self> {
        let settings = Settings::new(options, None)?;
        Ok(Self::assemble(settings, &Environment::default(), broker))
    }

    fn assemble(settings: Settings, environment: &Environment, broker: Arc<dyn Broker>) -> Self {
        let single_tenant = environment.has("AZURE_IDENTITY_DISABLE_MULTITENANTAUTH");
        let account = ArcSwapOption::from_pointee(settings.home_account_id.clone());
        let cache = TokenCache::default();
        let flights = PerProcess::default();
        Self(Arc::new(CredentialState { settings, single_tenant, broker, cache, flights, account }))
    }

    /// How long one call may take in all.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.0.settings.timeout
    }

    /// A token from the cache of this credential; `None` means that the broker has to be asked. Takes
    /// no lock, and starts a renewal in the background when it is time.
    ///
    /// # Errors
    /// `InvalidRequest` names the part of the query that is wrong.
    pub fn cached(&self, query: TokenQuery<'_>) -> Result<Option<Arc<Token>>> {
        let own = self.0.settings.tenant.as_str();
        let tenant_id = query.tenant_id.filter(|id| !id.is_empty() && *id != own);
        let resolved;
        let tenant = match tenant_id {
            None => &self.0.settings.tenant,
            Some(_) => {
                resolved = self.0.resolve(tenant_id)?;
                &resolved
            }
        };
        let claims = query.claims.map_or(Ok(None), Claims::parse)?;
        let lookup = CacheLookup {
            scopes: query.scopes,
            tenant,
            claims: claims.as_ref(),
            cae: query.enable_cae,
            proof: query.proof_of_possession,
        };
        Ok(match self.0.cache.find(lookup, ClockReading::of(&SystemClock)) {
            None => None,
            Some(CachedToken::Fresh(token)) => Some(token),
            Some(CachedToken::Renew(token)) => {
                self.renew_in_background(query);
                Some(token)
            }
        })
    }

    /// A token: from this credential, from the broker, or with the person's help. Needs no async
    /// runtime. Dropping the future cancels the request, unless other callers wait for the same one.
    ///
    /// # Errors
    /// Every kind; `TimedOut` after the options' timeout.
    pub async fn acquire(&self, query: TokenQuery<'_>) -> Result<Arc<Token>> {
        if let Some(token) = self.cached(query)? {
            return Ok(token);
        }
        // On the heap, so that a hit needs no room for the state of a request.
        Box::pin(self.ask(self.0.parse(query, Purpose::Token)?)).await
    }

    /// As [`acquire`](Self::acquire), for callers that cannot await. Every 50 ms `interrupted` is
    /// asked whether to give up.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire); `Cancelled` if interrupted.
    pub fn acquire_blocking(
        &self,
        query: TokenQuery<'_>,
        interrupted: impl FnMut() -> bool,
    ) -> Result<Arc<Token>> {
        if let Some(token) = self.cached(query)? {
            return Ok(token);
        }
        self.ask_blocking(self.0.parse(query, Purpose::Token)?, interrupted)
    }

    /// Lets a person sign in, and returns who it was. The token goes into the cache.
    ///
    /// A person who is named already, by a record, a login hint, `use_default_broker_account` or an
    /// earlier token of this credential, is asked only if the broker needs it. Without scopes the
    /// person signs in for the cloud's Resource Manager.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire); `InvalidRequest` on `scopes` if there are none and the cloud's
    /// Resource Manager is not known.
    pub async fn authenticate(&self, query: TokenQuery<'_>) -> Result<AuthenticationRecord> {
        let wanted = self.0.sign_in(query)?;
        self.ask(wanted).await.map(|token| self.0.record(&token))
    }

    /// As [`authenticate`](Self::authenticate), for callers that cannot await.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate); `Cancelled` if interrupted.
    pub fn authenticate_blocking(
        &self,
        query: TokenQuery<'_>,
        interrupted: impl FnMut() -> bool,
    ) -> Result<AuthenticationRecord> {
        let wanted = self.0.sign_in(query)?;
        self.ask_blocking(wanted, interrupted).map(|token| self.0.record(&token))
    }

    async fn ask(&self, wanted: ParsedQuery) -> Result<Arc<Token>> {
        let inner = Arc::clone(&self.0);
        let work = background()?.spawn(async move { inner.ask_in_time(wanted).await });
        let abort = AbortOnDrop(work.abort_handle());
        let result = work.await;
        drop(abort);
        result.unwrap_or_else(|error| {
            Err(Error::internal("the request ended without a result").with_source(error))
        })
    }

    fn ask_blocking(
        &self,
        wanted: ParsedQuery,
        mut interrupted: impl FnMut() -> bool,
    ) -> Result<Arc<Token>> {
        const PATIENCE: Duration = Duration::from_millis(50);
        let inner = Arc::clone(&self.0);
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let work = background()?.spawn(async move {
            // The receiver is gone if the caller was interrupted.
            let _ = answer.send(inner.ask_in_time(wanted).await);
        });
        let _abort = AbortOnDrop(work.abort_handle());
        loop {
            match receive(&answered, PATIENCE) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if interrupted() => {
                    return Err(Error::cancelled("the program was interrupted"));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::internal("the request ended without a result"));
                }
            }
        }
    }

    fn renew_in_background(&self, query: TokenQuery<'_>) {
        let wanted = self.0.parse(query, Purpose::Token);
        let (Ok(wanted), Ok(runtime)) = (wanted, background()) else { return };
        let inner = Arc::clone(&self.0);
        runtime.spawn(async move {
            let parameters = inner.parameters(&wanted, inner.deadline());
            if let Ok(token) = inner.acquire_silent(parameters).await {
                // A token of the wrong type is not kept, and no caller could use it either.
                let _ = inner.keep(&wanted, token);
            }
        });
    }
}

impl CredentialState {
    fn resolve(&self, tenant_id: Option<&str>) -> Result<Tenant> {
        let allowed = Allowed {
            own: &self.settings.tenant,
            additionally: &self.settings.additionally_allowed_tenants,
            single: self.single_tenant,
        };
        resolve(allowed, tenant_id)
    }

    fn parse(&self, query: TokenQuery<'_>, purpose: Purpose) -> Result<ParsedQuery> {
        Ok(ParsedQuery {
            purpose,
            scopes: ScopeSet::parse(query.scopes)?,
            tenant: self.resolve(query.tenant_id)?,
            claims: query.claims.map_or(Ok(None), Claims::parse)?,
            cae: query.enable_cae,
            proof: query.proof_of_possession.cloned(),
        })
    }

    fn sign_in(&self, query: TokenQuery<'_>) -> Result<ParsedQuery> {
        let (scope, default);
        let scopes = if query.scopes.is_empty() {
            let resource_manager = self.settings.host.resource_manager()?;
            scope = format!("{}/.default", resource_manager.audience);
            default = [&*scope];
            &default
        } else {
            query.scopes
        };
        self.parse(TokenQuery { scopes, ..query }, Purpose::SignIn)
    }

    fn record(&self, token: &Token) -> AuthenticationRecord {
        let settings = &self.settings;
        AuthenticationRecord::of(settings.host.clone(), settings.client_id.clone(), token)
    }

    async fn ask_in_time(self: Arc<Self>, wanted: ParsedQuery) -> Result<Arc<Token>> {
        let limit = self.settings.timeout;
        let deadline = self.deadline();
        let late = || {
            let seconds = limit.as_secs_f32();
            Error::timed_out(format!("timed out after {seconds:.1} s waiting for a token"))
        };
        let asking = self.ask_together(wanted, deadline);
        within(deadline.extended_by(grace::CREDENTIAL), late, asking).await
    }

    /// That of a request that begins now.
    fn deadline(&self) -> Deadline {
        deadline_after(self.settings.timeout)
    }

    /// Shares one request with all callers that want the same (promise I6).
    async fn ask_together(
        self: &Arc<Self>,
        wanted: ParsedQuery,
        deadline: Deadline,
    ) -> Result<Arc<Token>> {
        loop {
            if wanted.is_for_one_request() {
                return self.ask(&wanted, deadline).await;
            }
            let (inner, asked) = (Arc::clone(self), wanted.clone());
            let begin = || async move { inner.ask(&asked, deadline).await };
            let (flight, boarding) = self.flights.get().join(wanted.clone(), begin);
            match flight.await {
                // The caller that started it had less time left than this one.
                Err(error)
                    if boarding == Boarding::Joined
                        && *error.kind() == ErrorKind::TimedOut
                        && !deadline.has_passed(now()) => {}
                result => return result,
            }
        }
    }

    /// Silently, and with the person only if there is no other way or the program wants it so.
    async fn ask(&self, wanted: &ParsedQuery, deadline: Deadline) -> Result<Arc<Token>> {
        let mut parameters = self.parameters(wanted, deadline);
        let choose = wanted.purpose == Purpose::SignIn && self.may_ask_whom(&parameters);
        if !choose {
            match self.acquire_silent(parameters.clone()).await {
                Ok(token) => return self.keep(wanted, token),
                Err(refusal) => parameters.claims = self.to_be_asked(wanted, refusal)?,
            }
        }
        // People are asked one thing at a time, and often the first answer does for the others.
        let _question = self.flights.get().question().await;
        if self.account() != parameters.account {
            parameters.account = self.account();
            if let Ok(token) = self.acquire_silent(parameters.clone()).await {
                return self.keep(wanted, token);
            }
        }
        let prompt = match parameters.account {
            AccountChoice::Only if choose => Prompt::SelectAccount,
            _ => Prompt::IfNeeded,
        };
        let token = self.acquire_interactive(InteractiveRequest::new(parameters, prompt)).await?;
        self.keep(wanted, token)
    }

    /// Whether no account was named, so that the person may choose one.
    fn may_ask_whom(&self, parameters: &TokenParameters) -> bool {
        parameters.account == AccountChoice::Only && self.settings.prompts != PromptPolicy::Never
    }

    /// The claims a sign-in has to satisfy, if the refusal is one that a sign-in can lift and the
    /// person may be asked; else the error to end with.
    fn to_be_asked(&self, wanted: &ParsedQuery, refusal: Error) -> Result<Option<Claims>> {
        let ErrorKind::InteractionRequired { claims, .. } = refusal.kind() else {
            return Err(refusal);
        };
        match (self.settings.prompts, wanted.purpose) {
            (PromptPolicy::Never, _) => Err(interaction_disabled(refusal)),
            (PromptPolicy::OnDemand, Purpose::Token) => Err(refusal),
            (PromptPolicy::OnDemand, Purpose::SignIn) | (PromptPolicy::Automatic, _) => {
                Ok(wanted.claims.clone().or_else(|| claims.clone()))
            }
        }
    }

    async fn acquire_silent(&self, parameters: TokenParameters) -> Result<Token> {
        let begun = self.settings.begin("without the person", &parameters);
        let result = self.broker.acquire_silent(SilentRequest { parameters }).await;
        begun.ended(result)
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        let begun = self.settings.begin("with the person", &request.parameters);
        let result = self.broker.acquire_interactive(request).await;
        begun.ended(result)
    }

    fn parameters(&self, wanted: &ParsedQuery, deadline: Deadline) -> TokenParameters {
        let settings = &self.settings;
        let mut random = [0; 16];
        SystemRandom.fill(&mut random);
        let scopes: Vec<&str> = wanted.scopes.iter().collect();
        let refused = self.cache.refused(wanted.lookup(&scopes));
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
            access_token_to_renew: refused.map(|token| token.access_token.clone()),
            proof_of_possession: wanted.proof.clone(),
            extra_query: if settings.enable_msa_passthrough {
                [("msal_request_type".to_owned(), "consumer_passthrough".to_owned())].into()
            } else {
                Default::default()
            },
            correlation_id: CorrelationId::from_random(random),
            deadline,
            caller: Caller::in_process(),
        }
    }

    fn account(&self) -> AccountChoice {
        match (self.account.load_full(), &self.settings.login_hint) {
            (Some(id), _) => AccountChoice::Exact(HomeAccountId::clone(&id)),
            (None, Some(username)) => AccountChoice::LoginHint(username.clone()),
            (None, None) if self.settings.use_default_broker_account => AccountChoice::Default,
            (None, None) => AccountChoice::Only,
        }
    }

    /// Keeps the token if it is good for more than one request, and the account for every later one.
    fn keep(&self, wanted: &ParsedQuery, token: Token) -> Result<Arc<Token>> {
        wanted.check_type(token.token_type)?;
        let first = Arc::new(token.account.home_account_id.clone());
        self.account.compare_and_swap(&None::<Arc<HomeAccountId>>, Some(first));
        let token = Arc::new(token);
        if !wanted.is_for_one_request() {
            let scopes: Vec<&str> = wanted.scopes.iter().collect();
            let now = ClockReading::of(&SystemClock);
            self.cache.insert(wanted.lookup(&scopes), &wanted.scopes, &token, now);
        }
        Ok(token)
    }
}

fn interaction_disabled(refusal: Error) -> Error {
    let message = "sign-in is required, but interactive sign-in is disabled for this credential";
    Error::unavailable(Missing::UserInterface, message)
        .with_correlation_id(refusal.context().correlation_id.clone())
        .with_hint("sign in first, with `keybearer login` or another credential")
        .with_source(refusal)
}

#[cfg(windows)]
use keybearer_native::windows::receive;

/// Waits for a value, so long.
#[cfg(not(windows))]
fn receive<T>(
    from: &std::sync::mpsc::Receiver<T>,
    patience: Duration,
) -> Result<T, RecvTimeoutError> {
    from.recv_timeout(patience)
}

/// Ends the wait of a caller that leaves; the request continues if other callers wait for it.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for CredentialState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("settings", &self.settings)
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}
