use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountsRequest, AuthorityHost, Broker, CancelRequest, CorrelationId, Deadline, Error,
    ErrorKind, InteractiveRequest, PendingRequests, RemoveAccountRequest, Result, SignHttpRequest,
    SignInMethod, SignedHttpRequest, SilentRequest, Token, TokenParameters,
};

use crate::accounts::connected_accounts::ConnectedAccounts;
use crate::accounts::family_refresh_tokens::FamilyRefreshTokens;
use crate::deadline::{unless_cancelled, within};
use crate::effects::{Clock, Effects, Random};
use crate::proof::ProofKeys;
use crate::provider::providers::Providers;
use crate::refresh::redeemer::Redeemer;
use crate::refresh::shared_token_cache::SharedTokenCache;
use crate::refresh::silent_tokens::SilentTokens;
use crate::sign_in::authorization_code::with_browser_advice;
use crate::sign_in::services::Services;
use crate::sign_in::sign_ins::SignIns;
use crate::sign_out::SignOuts;

/// The settings of an engine.
#[derive(Clone, Debug, Default)]
pub struct EngineSettings {
    /// Authority hosts that are trusted without instance discovery, in addition to Microsoft's
    /// clouds.
    pub trusted_authority_hosts: BTreeSet<AuthorityHost>,
    /// Whether an app may use the refresh token of another app of its family.
    pub family_refresh_tokens: FamilyRefreshTokens,
    /// The loopback port that receives the answers of browsers on other machines. The default is
    /// [`FORWARDED_PORT`].
    pub loopback_port: Option<u16>,
}

/// The default loopback port that receives the answers of browsers on other machines. It is fixed,
/// so that a port forwarding can be part of an SSH configuration.
pub const FORWARDED_PORT: u16 = 27410;

impl EngineSettings {
    pub(crate) fn forwarded_port(&self) -> u16 {
        self.loopback_port.unwrap_or(FORWARDED_PORT)
    }
}

/// A broker over injected effects: connected accounts, cached tokens, sign-ins. Clones share all
/// state.
///
/// No lock is held across the network. Invariants kept here: I1 (refresh tokens stay inside), I3
/// and I4 (what is durable is sealed, and durable before it is used), I6 (one flight per key), I7
/// (deadlines), I8 (never another account), I9 (state, nonce, PKCE).
#[derive(Clone)]
pub struct Engine(Arc<EngineState>);

/// The rooms of the engine, each with the effects it needs.
struct EngineState {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    providers: Arc<Providers>,
    accounts: Arc<ConnectedAccounts>,
    proof_keys: Arc<ProofKeys>,
    silent: Arc<SilentTokens>,
    sign_ins: SignIns,
    sign_outs: SignOuts,
    pending: PendingRequests,
}

impl Engine {
    /// Opens the store and connects the accounts in it. Records that cannot be read stay in the
    /// store and are counted, see [`unreadable_records`](Self::unreadable_records).
    ///
    /// # Errors
    /// Those of [`KeyStore::master_key`](crate::KeyStore::master_key) and
    /// [`TokenStore::load`](crate::TokenStore::load).
    pub async fn open(effects: Effects, settings: EngineSettings) -> Result<Self> {
        let forwarded_port = settings.forwarded_port();
        let accounts = Arc::new(ConnectedAccounts::open(&effects).await?);
        let providers = Arc::new(Providers::new(&effects, settings.trusted_authority_hosts));
        let proof_keys = Arc::new(ProofKeys::new(&effects, Arc::clone(&accounts)));
        let cache = Arc::new(SharedTokenCache::new(&effects, Arc::clone(&accounts)));
        let redeemer = Redeemer {
            accounts: Arc::clone(&accounts),
            providers: Arc::clone(&providers),
            cache: Arc::clone(&cache),
            families: settings.family_refresh_tokens,
        };
        let silent = Arc::new(SilentTokens::new(&effects, redeemer, Arc::clone(&proof_keys)));
        let services = Services {
            accounts: Arc::clone(&accounts),
            providers: Arc::clone(&providers),
            silent: Arc::clone(&silent),
            cache: Arc::clone(&cache),
            ui: Arc::clone(&effects.sign_in_ui),
            clock: Arc::clone(&effects.clock),
            random: Arc::clone(&effects.random),
            forwarded_port,
        };
        let sign_ins = SignIns::new(&effects, services);
        let sign_outs = SignOuts::new(&effects, Arc::clone(&accounts), cache);
        Ok(Self(Arc::new(EngineState {
            clock: effects.clock,
            random: effects.random,
            providers,
            accounts,
            proof_keys,
            silent,
            sign_ins,
            sign_outs,
            pending: PendingRequests::default(),
        })))
    }

    /// How many stored records could not be read when the store was opened, because they are
    /// damaged or were sealed with another key. Their accounts must sign in again.
    #[must_use]
    pub fn unreadable_records(&self) -> usize {
        self.0.accounts.unreadable_records()
    }

    /// How many accounts are connected.
    #[must_use]
    pub fn account_count(&self) -> usize {
        self.0.accounts.registry().len()
    }

    /// How many sign-ins, refreshes and sign-outs are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let EngineState { silent, sign_ins, sign_outs, .. } = &*self.0;
        silent.in_flight() + sign_ins.in_flight() + sign_outs.in_flight()
    }
}

impl EngineState {
    /// Adds a correlation id if the caller sent none.
    fn correlated(&self, parameters: &mut TokenParameters) {
        if parameters.correlation_id.is_empty() {
            parameters.correlation_id = CorrelationId::from_random(self.random.bytes());
        }
    }

    async fn within<T>(
        &self,
        deadline: Deadline,
        what: &str,
        id: &CorrelationId,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        within(&*self.clock, deadline, what, work)
            .await
            .map_err(|error| error.with_correlation_id(id.clone()))
    }
}

impl EngineState {
    /// Adds a hint to a timeout: the network if the provider has not answered at all yet, or else
    /// `unfinished`.
    fn with_timeout_hint(
        &self,
        error: Error,
        host: &AuthorityHost,
        unfinished: Option<String>,
    ) -> Error {
        if *error.kind() != ErrorKind::TimedOut {
            return error;
        }
        let hint = if self.providers.has_described(host) {
            unfinished
        } else {
            Some(format!("check the network, the proxy and the authority; {host} has not answered"))
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
        Ok(self.0.accounts.registry().accounts())
    }

    async fn acquire_silent(&self, mut request: SilentRequest) -> Result<Token> {
        self.0.correlated(&mut request.parameters);
        let parameters = &request.parameters;
        let id = &parameters.correlation_id;
        let work = async {
            self.0.providers.check_trust(&parameters.authority, id).await?;
            self.0.silent.token(parameters).await
        };
        let answer = self.0.within(parameters.deadline, "the silent request", id, work).await;
        answer.map_err(|error| self.0.with_timeout_hint(error, parameters.authority.host(), None))
    }

    async fn acquire_interactive(&self, mut request: InteractiveRequest) -> Result<Token> {
        self.0.correlated(&mut request.parameters);
        let (id, deadline) =
            (request.parameters.correlation_id.clone(), request.parameters.deadline);
        let host = request.parameters.authority.host().clone();
        // A provider that refuses the redirect URI shows that in the browser only.
        let on_this_device = request.sign_in_options.method != SignInMethod::DeviceCode;
        let unfinished = on_this_device.then(|| with_browser_advice(UNFINISHED));
        let pending = self.0.pending.register(&request.parameters.caller.id);
        let work = async {
            let authority = &request.parameters.authority;
            self.0.providers.check_trust(authority, &id).await?;
            Box::pin(self.0.sign_ins.join(request)).await
        };
        let work = unless_cancelled(pending.cancelled(), work);
        let answer = self.0.within(deadline, "the sign-in", &id, work).await;
        answer.map_err(|error| self.0.with_timeout_hint(error, &host, unfinished))
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let keys = self.0.accounts.registry().keys_of(&request.home_account_id);
        if keys.is_empty() {
            let message = format!("the account {} is not connected", request.home_account_id);
            return Err(Error::invalid_request("account", message)
                .with_correlation_id(request.correlation_id));
        }
        let sign_outs: Vec<_> = keys.iter().map(|key| self.0.sign_outs.start(key)).collect();
        let work = async {
            for sign_out in sign_outs {
                sign_out.landed().await?;
            }
            Ok(())
        };
        self.0.within(request.deadline, "the sign-out", &request.correlation_id, work).await
    }

    async fn sign_http_request(&self, request: SignHttpRequest) -> Result<SignedHttpRequest> {
        let work = self.0.proof_keys.sign_http(&request);
        self.0.within(request.deadline, "the signature", &request.correlation_id, work).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        self.0.pending.cancel(&request.caller.id);
        Ok(())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
