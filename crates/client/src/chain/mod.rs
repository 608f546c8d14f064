//! The broker of this machine. Which one that is, each platform's module beside this one says. If
//! none is to be had, an engine in this process signs in with the system browser and remembers only
//! as long as the process lives.

mod fallback;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
mod none;
mod shared;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
mod wsl;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountChoice, AccountsRequest, Authority, AuthorityHost, Broker, CallerUi,
    CancelRequest, Error, ErrorKind, InteractiveRequest, Missing, RemoveAccountRequest, Result,
    SignHttpRequest, SignedHttpRequest, SilentRequest, SsoCookie, SsoCookieRequest, Token,
};
use keybearer_engine::{Http, SignInUi};
use keybearer_host::Environment;
use tokio::sync::Mutex;

use crate::caller_ui::DesktopUi;
use crate::in_process::InProcess;
use crate::per_process::PerProcess;
use crate::window::ParentWindow;
use fallback::{Platform, RequestKind, browser_can_help};
#[cfg(target_os = "linux")]
use linux::find;
#[cfg(target_os = "macos")]
use macos::find;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
use none::find;
#[cfg(windows)]
use windows::find;

/// Whether to use a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BrokerChoice {
    /// If there is one or one can be started; else sign in from this process with the system
    /// browser, also where the broker cannot serve a request and a browser can. On Windows, WSL
    /// included, there is no such way out: `Unavailable` lets a chain go on.
    #[default]
    Auto,
    /// Only; fail with `Unavailable` if there is none.
    Required,
    /// Not at all.
    Never,
}

/// How to find the broker.
#[derive(Clone, Debug, Default)]
pub struct LocalBrokerOptions {
    /// Whether to use one at all.
    pub choice: BrokerChoice,
    /// Authority hosts this process trusts without asking. A broker does not take our word for
    /// it, so a request it refuses for its authority is then made from this process.
    pub trusted_authority_hosts: BTreeSet<AuthorityHost>,
    /// Where else the broker's program may be installed, on Linux. It goes before `PATH`.
    pub program_directory: Option<PathBuf>,
    /// The window a broker's window belongs to.
    pub parent_window: ParentWindow,
    /// What an engine in this process reaches the provider through, instead of its own.
    pub http: Option<Arc<dyn Http>>,
    /// What takes the person through an engine's sign-ins in this process, instead of the system
    /// browser.
    pub sign_in_ui: Option<Arc<dyn SignInUi>>,
    /// What an engine in this process does with what it signs in.
    pub remember: Persistence,
    /// The caller's side of sign-ins, for requests that bring none. Default: the browser of this
    /// process's environment ([`DesktopUi`]).
    pub caller_ui: Option<Arc<dyn CallerUi>>,
}

/// What an engine in this process does with what it signs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Persistence {
    /// It is gone when the process ends.
    #[default]
    InMemory,
    /// It is kept in the user's state directory, for one process at a time. For programs on systems
    /// where no broker of ours runs; accounts there are found besides those of the system's broker.
    #[cfg(not(target_os = "linux"))]
    OnDisk,
}

/// The broker of this machine, found on first use and found again if it went away.
#[derive(Debug)]
pub struct LocalBroker {
    environment: Environment,
    options: LocalBrokerOptions,
    connection: PerProcess<Mutex<Connection>>,
    in_process: InProcess,
    caller_ui: Arc<dyn CallerUi>,
}

/// What came of looking for the broker.
#[derive(Debug, Default)]
struct Connection {
    broker: Option<Arc<dyn Reachable>>,
    /// A search that took long and found none, and when it ended.
    in_vain: Option<(Instant, Error)>,
}

/// A search is in vain for whoever asks this soon after, such as the interactive request that
/// follows a silent one, and all who waited for it to end.
const SAME_SEARCH: Duration = Duration::from_secs(2);

/// Whoever is asked ends at the limit too, and says why; its answer gets this long to arrive.
const ANSWER_TIME: Duration = Duration::from_millis(125);

/// A search that takes less is simply made again.
const LONG_SEARCH: Duration = Duration::from_secs(1);

/// A broker outside of this process, which may go away.
pub trait Reachable: Broker {
    /// Whether it has gone, so that every call would fail. One that is asked anew by each call
    /// never has.
    fn is_closed(&self) -> bool;

    /// Whether it is Keybearer's, so that it signs in as this process would.
    fn is_keybearer(&self) -> bool {
        false
    }
}

/// A request that was not served, and by whom.
struct Refusal {
    broker: fallback::Broker,
    error: Error,
}

/// Whether a request that a broker dropped may be made again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Once,
    Never,
}

impl LocalBroker {
    /// A broker to be found by these rules. Nothing is contacted yet.
    #[must_use]
    pub fn new(environment: Environment, options: LocalBrokerOptions) -> Self {
        let in_process = InProcess::new(environment.clone(), &options);
        let caller_ui =
            options.caller_ui.clone().unwrap_or_else(|| Arc::new(DesktopUi::new(&environment)));
        let connection = PerProcess::default();
        Self { environment, options, connection, in_process, caller_ui }
    }

    /// The broker process that serves this machine now, started if need be.
    ///
    /// # Errors
    /// `Unavailable(Broker)` with what was tried; `TimedOut`; other kinds if what answers is not
    /// to be trusted.
    pub async fn connect(&self, limit: Duration) -> Result<Arc<dyn Reachable>> {
        let begun = Instant::now();
        let connected = tokio::time::timeout(limit, self.connected(limit)).await;
        match connected {
            // Whoever did not answer had all the time there was.
            Ok(Err(error))
                if *error.kind() == ErrorKind::Unavailable(Missing::Broker)
                    && begun.elapsed() >= limit =>
            {
                Err(Error::timed_out("find a broker that answers").with_source(error))
            }
            Ok(result) => result,
            Err(_) => Err(Error::timed_out("find the broker")),
        }
    }

    async fn connected(&self, limit: Duration) -> Result<Arc<dyn Reachable>> {
        let connection = self.connection.get();
        let mut connection = connection.lock().await;
        if let Some(broker) = connection.broker.as_ref().filter(|broker| !broker.is_closed()) {
            return Ok(Arc::clone(broker));
        }
        if let Some((ended, error)) = &connection.in_vain
            && ended.elapsed() < SAME_SEARCH
        {
            return Err(error.clone());
        }
        let begun = Instant::now();
        match find(&self.environment, &self.options, limit).await {
            Ok(broker) => Ok(Arc::clone(connection.broker.insert(broker))),
            Err(error) => {
                let is_absent = *error.kind() == ErrorKind::Unavailable(Missing::Broker);
                if is_absent && begun.elapsed() > LONG_SEARCH {
                    connection.in_vain = Some((Instant::now(), error.clone()));
                }
                Err(error)
            }
        }
    }

    async fn forget(&self, broker: &Arc<dyn Reachable>) {
        let connection = self.connection.get();
        let mut connection = connection.lock().await;
        if connection.broker.as_ref().is_some_and(|own| Arc::ptr_eq(own, broker)) {
            connection.broker = None;
        }
    }

    /// Makes one call at whichever broker is there, within `limit` in all.
    async fn call<T, F, Fut>(
        &self,
        limit: Duration,
        authority: Option<&Authority>,
        repeat: Repeat,
        call: F,
    ) -> Result<T>
    where
        F: Fn(Arc<dyn Broker>, Duration) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let deadline = Instant::now() + limit;
        let left = || deadline.saturating_duration_since(Instant::now());
        let work = async {
            if self.options.choice == BrokerChoice::Never {
                return call(self.in_process.broker(left()).await?, left()).await;
            }
            match self.at_broker(deadline, repeat, &call).await {
                Err(refusal) if self.can_do_without(&refusal, authority) => {
                    let kind = refusal.error.kind().name();
                    match refusal.broker {
                        fallback::Broker::Absent => tracing::debug!(kind, "no broker: do without"),
                        _ => tracing::warn!(kind, "the broker does not serve: do without"),
                    }
                    let result = call(self.in_process.broker(left()).await?, left()).await;
                    result.map_err(|error| with_source_if_none(error, refusal.error))
                }
                result => result.map_err(|refusal| refusal.error),
            }
        };
        tokio::time::timeout(limit + ANSWER_TIME, work)
            .await
            .unwrap_or_else(|_| Err(Error::timed_out("wait for the broker")))
    }

    /// Makes one call at the broker process, once more if that went away and it does no harm.
    async fn at_broker<T, F, Fut>(
        &self,
        deadline: Instant,
        repeat: Repeat,
        call: &F,
    ) -> Result<T, Refusal>
    where
        F: Fn(Arc<dyn Broker>, Duration) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let left = || deadline.saturating_duration_since(Instant::now());
        let absent = |error| Refusal { broker: fallback::Broker::Absent, error };
        let mut broker = self.connect(left()).await.map_err(absent)?;
        let mut result = call(broker.clone(), left()).await;
        if let (Err(error), true) = (&result, broker.is_closed()) {
            tracing::debug!(%error, "the broker went away");
            self.forget(&broker).await;
            if let (Repeat::Once, Ok(again)) = (repeat, self.connect(left()).await) {
                broker = again;
                result = call(broker.clone(), left()).await;
            }
        }
        result.map_err(|error| Refusal {
            broker: match broker.is_keybearer() {
                true => fallback::Broker::Keybearer,
                false => fallback::Broker::Foreign,
            },
            error,
        })
    }

    /// Whether one was looked for in vain where installing one would help.
    fn lacks_a_broker(&self) -> bool {
        let connection = self.connection.get();
        cfg!(target_os = "linux")
            && self.options.choice == BrokerChoice::Auto
            && connection.try_lock().is_ok_and(|connection| connection.broker.is_none())
    }

    fn can_do_without(&self, refusal: &Refusal, authority: Option<&Authority>) -> bool {
        let place = Platform::of(&self.environment);
        if place == Platform::Windows && self.options.remember != Persistence::InMemory {
            // A program that keeps what it signs in does without the system's broker where there is
            // none, or where that does not know the authority.
            return self.options.choice == BrokerChoice::Auto
                && match refusal.error.kind() {
                    ErrorKind::Unavailable(Missing::Broker) => true,
                    ErrorKind::InvalidRequest { field } => field == "authority",
                    _ => false,
                };
        }
        let trusted = |host| self.options.trusted_authority_hosts.contains(host);
        let asked = match authority {
            None => RequestKind::Knowledge,
            Some(authority) if trusted(authority.host()) => RequestKind::TrustedToken,
            Some(_) => RequestKind::Token,
        };
        self.options.choice == BrokerChoice::Auto
            && browser_can_help(place, refusal.broker, asked, &refusal.error)
    }

    /// Whoever signed in here while no broker served is unknown to one that does now.
    async fn signed_in_here(&self, request: SilentRequest) -> Option<Token> {
        let by_name = matches!(
            request.parameters.account,
            AccountChoice::Exact(_) | AccountChoice::LoginHint(_)
        );
        let engine = self.in_process.opened().filter(|_| by_name)?;
        engine.acquire_silent(request).await.ok()
    }

    /// The engine in this process, if it has kept something that a broker outside does not know.
    async fn keeper(&self, limit: Duration) -> Result<Option<Arc<dyn Broker>>> {
        if self.options.choice == BrokerChoice::Auto && self.in_process.has_kept() {
            self.in_process.broker(limit).await.map(Some)
        } else {
            Ok(None)
        }
    }
}

/// Whoever sees that this process could not do it either sees what the broker said as well.
fn with_source_if_none(error: Error, refusal: Error) -> Error {
    match std::error::Error::source(&error) {
        None => error.with_source(refusal),
        Some(_) => error,
    }
}

#[async_trait]
impl Broker for LocalBroker {
    fn name(&self) -> &str {
        "this machine's broker"
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        let deadline = Instant::now() + request.timeout;
        let mut accounts = self
            .call(request.timeout, None, Repeat::Once, |broker, timeout| {
                let request = AccountsRequest { timeout, ..request.clone() };
                async move { broker.accounts(request).await }
            })
            .await?;
        let left = || deadline.saturating_duration_since(Instant::now());
        if let Some(keeper) = self.keeper(left()).await? {
            let own = keeper.accounts(AccountsRequest { timeout: left(), ..request }).await?;
            let new = own.into_iter().filter(|account| !accounts.contains(account));
            let new: Vec<Account> = new.collect();
            accounts.extend(new);
        }
        Ok(accounts)
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        let (limit, authority) = (request.parameters.timeout, request.parameters.authority.clone());
        let deadline = Instant::now() + limit;
        let asked = self.call(limit, Some(&authority), Repeat::Once, |broker, timeout| {
            let mut request = request.clone();
            request.parameters.timeout = timeout;
            async move { broker.acquire_silent(request).await }
        });
        let result = asked.await;
        let Err(error) = &result else { return result };
        if !matches!(error.kind(), ErrorKind::InteractionRequired { .. }) {
            return result;
        }
        let mut request = request;
        request.parameters.timeout = deadline.saturating_duration_since(Instant::now());
        if let Some(keeper) = self.keeper(request.parameters.timeout).await? {
            return keeper.acquire_silent(request).await;
        }
        self.signed_in_here(request).await.map_or(result, Ok)
    }

    async fn acquire_interactive(&self, mut request: InteractiveRequest) -> Result<Token> {
        request.sign_in_options.caller_ui.get_or_insert_with(|| Arc::clone(&self.caller_ui));
        let (limit, authority) = (request.parameters.timeout, request.parameters.authority.clone());
        let asked = self.call(limit, Some(&authority), Repeat::Never, |broker, timeout| {
            let mut request = request.clone();
            request.parameters.timeout = timeout;
            async move { broker.acquire_interactive(request).await }
        });
        let token = asked.await?;
        if self.lacks_a_broker() {
            tracing::warn!(
                correlation_id = %request.parameters.correlation_id,
                "there is no broker, so this sign-in is forgotten when the program ends; \
                 the program keybearer keeps sign-ins for all programs"
            );
        }
        Ok(token)
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let deadline = Instant::now() + request.timeout;
        let removed = self
            .call(request.timeout, None, Repeat::Never, |broker, timeout| {
                let request = RemoveAccountRequest { timeout, ..request.clone() };
                async move { broker.remove_account(request).await }
            })
            .await;
        match removed {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidRequest { .. }) => {
                let left = || deadline.saturating_duration_since(Instant::now());
                match self.keeper(left()).await? {
                    Some(keeper) => {
                        let request = RemoveAccountRequest { timeout: left(), ..request };
                        keeper.remove_account(request).await
                    }
                    None => Err(error),
                }
            }
            removed => removed,
        }
    }

    async fn sso_cookie(&self, request: SsoCookieRequest) -> Result<SsoCookie> {
        self.call(request.timeout, None, Repeat::Once, |broker, timeout| {
            let request = SsoCookieRequest { timeout, ..request.clone() };
            async move { broker.sso_cookie(request).await }
        })
        .await
    }

    async fn sign_http_request(&self, request: SignHttpRequest) -> Result<SignedHttpRequest> {
        self.call(request.timeout, None, Repeat::Once, |broker, timeout| {
            let request = SignHttpRequest { timeout, ..request.clone() };
            async move { broker.sign_http_request(request).await }
        })
        .await
    }

    /// Nothing waits where nobody was asked yet, so nobody is looked for; and while somebody is,
    /// whoever looks may be the caller's own request, which must not be waited for.
    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        const LIMIT: Duration = Duration::from_secs(2);
        let connection = self.connection.get();
        let outside = connection.try_lock().ok().and_then(|connection| connection.broker.clone());
        let outside = outside.map(|broker| broker as Arc<dyn Broker>);
        for broker in outside.into_iter().chain(self.in_process.opened()) {
            let cancelled = tokio::time::timeout(LIMIT, broker.cancel(request.clone())).await;
            cancelled.unwrap_or_else(|_| Err(Error::timed_out("cancel the request")))?;
        }
        Ok(())
    }
}
