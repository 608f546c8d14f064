//! Windows' own broker, Web Account Manager (WAM), as a [`Broker`].
//!
//! Everything that can be decided without Windows is decided here, above [`Transport`]: which
//! provider is asked, what a request says, which account is meant, what an answer means. That part
//! is the same on every system and its tests run on Linux. Below is `winrt`, which moves values
//! across the boundary.
//!
//! What WAM does not do: it lists no Microsoft accounts, so one of those is known by name only once
//! it has signed in through this value; and there is no public description of proof of possession
//! at this boundary, so there is none.

mod account;
mod answer;
mod fault;
mod provider;
mod request;
mod transport;
mod waiting;
#[cfg(windows)]
mod winrt;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountChoice, AccountsRequest, AuthorityHost, Broker, CancelRequest, ClientId, Error,
    ErrorKind, InteractiveRequest, Prompt, RemoveAccountRequest, Result, SilentRequest, Tenant,
    Token, TokenParameters, TokenSource,
};
use keybearer_engine::Clock;

use crate::AZURE_DEVELOPER_APP;
use crate::chain::Reachable;
use answer::{Issued, ResponseContext};
use provider::{Plugin, organizations};
use request::{AccountRef, Mode, RequestPlan};
use transport::{Answer, Listing, Provider, Transport};
use waiting::PendingSignIns;
#[cfg(windows)]
pub(crate) use winrt::WinRt;

/// Web Account Manager.
#[derive(Debug)]
pub(crate) struct WamBroker {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
    waiting: PendingSignIns,
}

/// What this process has learnt. WAM tells less than its answers do: nothing about Microsoft
/// accounts, and not the home directory of guests.
#[derive(Debug, Default)]
struct Memory {
    accounts: Vec<Found>,
    /// An account is signed out of apps one by one.
    apps: BTreeSet<ClientId>,
}

/// An account, and where Windows has it.
#[derive(Clone, Debug)]
struct Found {
    account: Account,
    plugin: Plugin,
    provider: Provider,
    account_id: String,
}

/// AccountRef is meant by a request.
#[derive(Debug)]
enum ResolvedAccount {
    One(Box<Found>),
    /// The account of the Windows session, or the one the provider has but does not list.
    Provider(Provider),
    Several(usize),
    Nobody,
}

impl WamBroker {
    pub(crate) fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self { transport, clock, memory: Mutex::default(), waiting: PendingSignIns::default() }
    }

    /// Whether Windows has Web Account Manager and a provider for work accounts.
    pub(crate) async fn check(&self) -> Result<()> {
        match self.transport.provider(&organizations()).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(fault::absent()),
            Err(error) => Err(fault::of_system(error, "find a provider")),
        }
    }

    async fn meant(&self, parameters: &TokenParameters) -> Result<ResolvedAccount> {
        let (choice, host) = (&parameters.account, parameters.authority.host());
        if !host.is_known() || host.is_ciam() {
            let message = format!("Windows signs in to Microsoft's clouds, not to {host}");
            return Err(Error::invalid_request("authority", message)
                .with_hint("sign in with the browser: `keybearer login --browser`"));
        }
        let plugin = Plugin::of(&parameters.authority, choice);
        if *choice == AccountChoice::Default && self.session_account_serves(parameters).await? {
            return Ok(ResolvedAccount::Provider(provider::local()));
        }
        let provider = plugin.provider(&parameters.authority);
        let remembered = self.remembered(plugin, host, choice);
        // Where Windows keeps an account that gave a token is known for certain.
        if let (AccountChoice::Exact(_), Some(found)) = (choice, remembered.first()) {
            return Ok(ResolvedAccount::One(Box::new(found.clone())));
        }
        let listed = self.listed(&provider, plugin, (host, &parameters.client_id)).await?;
        let refused = listed.is_none();
        let mut allowed: Vec<Found> = listed.unwrap_or_default();
        allowed.retain(|found| {
            let account = &found.account;
            account.environment == host.environment() && choice.allows(account)
        });
        if allowed.is_empty() {
            allowed = remembered;
        }
        Ok(match (allowed.len(), choice) {
            (0, _) if refused => ResolvedAccount::Provider(provider),
            (0, _) => ResolvedAccount::Nobody,
            (1, _) | (_, AccountChoice::Default) => {
                ResolvedAccount::One(Box::new(allowed.swap_remove(0)))
            }
            (several, _) => ResolvedAccount::Several(several),
        })
    }

    /// Whether the account of the Windows session is one this authority issues for.
    async fn session_account_serves(&self, parameters: &TokenParameters) -> Result<bool> {
        let own = self.transport.provider(&provider::local()).await;
        let own = own.map_err(|error| fault::of_system(error, "find the session's account"))?;
        let tenant = parameters.authority.tenant();
        Ok(own.is_some_and(|own| {
            *tenant == Tenant::Common
                || Plugin::of_provider(&own)
                    == Plugin::of(&parameters.authority, &parameters.account)
        }))
    }

    /// The accounts that the app may know about, those of the host's cloud where they do not say;
    /// `None` if the provider does not tell.
    async fn listed(
        &self,
        provider: &Provider,
        plugin: Plugin,
        (host, client_id): (&AuthorityHost, &ClientId),
    ) -> Result<Option<Vec<Found>>> {
        let listing = self.transport.accounts(provider, client_id).await;
        let accounts = match listing {
            Ok(Listing::Accounts(accounts)) => accounts,
            Ok(Listing::Refused) => return Ok(None),
            Ok(Listing::NoProvider) => return Err(fault::absent()),
            Ok(Listing::Failed(error)) => return Err(fault::of_provider(&error, client_id)),
            Err(error) => return Err(fault::of_system(error, "list the accounts")),
        };
        let found = accounts.into_iter().filter_map(|web| {
            let account = account::read(&web, plugin, host)?;
            let provider = provider.clone();
            Some(Found { account, plugin, provider, account_id: web.id })
        });
        Ok(Some(found.collect()))
    }

    fn remembered(
        &self,
        plugin: Plugin,
        host: &AuthorityHost,
        choice: &AccountChoice,
    ) -> Vec<Found> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = memory.accounts.iter().filter(|found| {
            found.plugin == plugin
                && found.account.environment == host.environment()
                && choice.allows(&found.account)
        });
        allowed.cloned().collect()
    }

    fn remember(&self, issued: Issued, recipe: (Plugin, Provider), client_id: &ClientId) -> Token {
        let Issued { token, account_id } = issued;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.apps.insert(client_id.clone());
        if let Some(account_id) = account_id {
            let account = token.account.clone();
            memory.accounts.retain(|own| own.account.home_account_id != account.home_account_id);
            let (plugin, provider) = recipe;
            memory.accounts.insert(0, Found { account, plugin, provider, account_id });
        }
        token
    }

    /// Whether the account was remembered until now.
    fn unremember(&self, account_id: &str) -> bool {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let before = memory.accounts.len();
        memory.accounts.retain(|found| found.account_id != account_id);
        memory.accounts.len() < before
    }

    async fn silent(&self, parameters: &TokenParameters) -> Result<Token> {
        let plugin = Plugin::of(&parameters.authority, &parameters.account);
        let (provider, who) = match self.meant(parameters).await? {
            ResolvedAccount::One(found) => (found.provider, AccountRef::Known(found.account_id)),
            ResolvedAccount::Provider(provider) => (provider, AccountRef::Provider),
            ResolvedAccount::Several(count) => {
                return Err(Error::interaction_required(format!("{count} accounts are connected"))
                    .with_hint("name the account"));
            }
            ResolvedAccount::Nobody => {
                return Err(Error::interaction_required("the account is not connected"));
            }
        };
        let plugin = self.plugin_of(plugin, &provider).await?;
        let recipe = RequestPlan { plugin, provider: provider.clone(), who, mode: Mode::Silent };
        let answer = self.transport.silent(&recipe.request(parameters)).await;
        let issued = self.read(answer, parameters, (plugin, TokenSource::Cache))?;
        // Invariant I8: the provider may have chosen somebody else.
        if !parameters.account.allows(&issued.token.account) {
            return Err(Error::interaction_required("the account is not connected"));
        }
        Ok(self.remember(issued, (plugin, provider), &parameters.client_id))
    }

    async fn interactive(&self, parameters: &TokenParameters, prompt: Prompt) -> Result<Token> {
        let plugin = Plugin::of(&parameters.authority, &parameters.account);
        let own = plugin.provider(&parameters.authority);
        let meant = self.meant(parameters).await?;
        let (provider, who) = match meant {
            ResolvedAccount::One(found) if prompt != Prompt::SelectAccount => {
                (found.provider, AccountRef::Known(found.account_id))
            }
            ResolvedAccount::Provider(provider)
                if prompt != Prompt::SelectAccount && provider == provider::local() =>
            {
                (provider, AccountRef::Provider)
            }
            _ => (own, AccountRef::Unknown),
        };
        let login_hint = match &parameters.account {
            AccountChoice::LoginHint(username) => Some(username.as_str()),
            _ => None,
        };
        let plugin = self.plugin_of(plugin, &provider).await?;
        let mode = Mode::Interactive { prompt, login_hint };
        let known = match &who {
            AccountRef::Known(account_id) => Some(account_id.clone()),
            AccountRef::Provider | AccountRef::Unknown => None,
        };
        let recipe = RequestPlan { plugin, provider: provider.clone(), who, mode };
        let answer = self.transport.interactive(&recipe.request(parameters)).await;
        let issued = match (self.read(answer, parameters, (plugin, TokenSource::SignIn)), known) {
            (Err(error), Some(account_id))
                if matches!(error.kind(), ErrorKind::InteractionRequired { .. })
                    && self.unremember(&account_id) =>
            {
                // Windows does not know it any more: the person signs in anew.
                return Box::pin(self.interactive(parameters, prompt)).await;
            }
            (issued, _) => issued?,
        };
        parameters.account.check_sign_in(&issued.token.account)?;
        Ok(self.remember(issued, (plugin, provider), &parameters.client_id))
    }

    /// The session's account may be of either kind, whatever `common` was taken for.
    async fn plugin_of(&self, plugin: Plugin, provider: &Provider) -> Result<Plugin> {
        if *provider != provider::local() {
            return Ok(plugin);
        }
        let own = self.transport.provider(provider).await;
        let own = own.map_err(|error| fault::of_system(error, "find the session's account"))?;
        Ok(own.map_or(plugin, |own| Plugin::of_provider(&own)))
    }

    fn read(
        &self,
        answer: Result<Answer, transport::SystemError>,
        parameters: &TokenParameters,
        (plugin, source): (Plugin, TokenSource),
    ) -> Result<Issued> {
        let answer = answer.map_err(|error| fault::of_system(error, "get a token"))?;
        ResponseContext { parameters, plugin, source, now: self.clock.now() }.read(&answer)
    }

    async fn remove(&self, request: &RemoveAccountRequest) -> Result<()> {
        let apps = self.apps(None);
        let host = AuthorityHost::public_cloud();
        let mut known: Vec<(Found, ClientId)> = Vec::new();
        let is_meant = |found: &Found| found.account.home_account_id == request.home_account_id;
        for app in apps {
            let listed = self.listed(&organizations(), Plugin::Work, (&host, &app)).await?;
            let remembered = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            let remembered = remembered.accounts.iter().find(|found| is_meant(found)).cloned();
            let listed = listed.unwrap_or_default().into_iter().find(is_meant);
            known.extend(remembered.or(listed).map(|found| (found, app)));
        }
        let mut signed_out = false;
        for (found, app) in known {
            let gone = self.transport.sign_out(&found.provider, &found.account_id, &app).await;
            signed_out |= gone.map_err(|error| fault::of_system(error, "sign the account out"))?;
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.accounts.retain(|found| !is_meant(found));
        if signed_out {
            Ok(())
        } else {
            Err(Error::invalid_request("account", "forget an account that is not connected")
                .with_hint("accounts of Windows itself are removed in its settings"))
        }
    }

    /// The app that asks, or those that have asked, or the default one.
    fn apps(&self, asking: Option<&ClientId>) -> Vec<ClientId> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut apps: Vec<ClientId> = match asking {
            Some(app) => vec![app.clone()],
            None => memory.apps.iter().cloned().collect(),
        };
        if apps.is_empty() {
            apps.extend(ClientId::parse(AZURE_DEVELOPER_APP));
        }
        apps
    }

    async fn connected(&self, request: &AccountsRequest) -> Result<Vec<Account>> {
        let host = AuthorityHost::public_cloud();
        let memory = |memory: &Mutex<Memory>| {
            let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            let personal = memory.accounts.iter().filter(|own| own.plugin == Plugin::Personal);
            personal.map(|found| found.account.clone()).collect::<Vec<_>>()
        };
        let mut accounts = memory(&self.memory);
        for app in self.apps(request.client_id.as_ref()) {
            let listed = self.listed(&organizations(), Plugin::Work, (&host, &app)).await?;
            for found in listed.unwrap_or_default() {
                let id = &found.account.home_account_id;
                if !accounts.iter().any(|account| account.home_account_id == *id) {
                    accounts.push(self.told(found));
                }
            }
        }
        Ok(accounts)
    }

    /// What an answer told about an account says more than Windows' list.
    fn told(&self, found: Found) -> Account {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memory.accounts.iter().find(|own| own.account_id == found.account_id);
        known.map_or(found.account, |own| own.account.clone())
    }
}

/// The call's own limit, whatever Windows does (invariant I7). Dropping the work tells Windows.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = tokio::time::timeout(limit, work).await;
    ended.unwrap_or_else(|_| Err(Error::timed_out("wait for Web Account Manager")))
}

#[async_trait]
impl Broker for WamBroker {
    fn name(&self) -> &str {
        "Web Account Manager"
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        let accounts = within(request.timeout, self.connected(&request)).await;
        accounts.map_err(|error| error.with_correlation_id(request.correlation_id))
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        let parameters = &request.parameters;
        let work = async {
            parameters.check_bearer()?;
            self.silent(parameters).await
        };
        let token = within(parameters.timeout, work).await;
        token.map_err(|error| error.with_correlation_id(parameters.correlation_id.clone()))
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        let parameters = &request.parameters;
        let wait = self.waiting.begin(&parameters.caller.id);
        let work = async {
            parameters.check_bearer()?;
            self.interactive(parameters, request.prompt).await
        };
        let work = within(parameters.timeout, work);
        let token = tokio::select! {
            token = work => token,
            error = wait.cancelled() => Err(error),
        };
        token.map_err(|error| error.with_correlation_id(parameters.correlation_id.clone()))
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let removed = within(request.timeout, self.remove(&request)).await;
        removed.map_err(|error| error.with_correlation_id(request.correlation_id))
    }

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        self.waiting.cancel(&request.caller.id);
        Ok(())
    }
}

impl Reachable for WamBroker {
    fn is_closed(&self) -> bool {
        false
    }
}
