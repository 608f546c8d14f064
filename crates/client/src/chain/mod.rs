//! The broker of this machine. Which one that is, each platform's module beside this one says. If
//! none is to be had, an engine in this process signs in with the system browser and remembers only
//! as long as the process lives.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(any(target_os = "linux", windows)))]
mod none;
#[cfg(windows)]
mod windows;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountsRequest, Authority, AuthorityHost, Broker, CancelRequest, Error, ErrorKind,
    InteractiveRequest, Missing, RemoveAccountRequest, Result, SignHttpRequest, SignedHttpRequest,
    SilentRequest, SsoCookie, SsoCookieRequest, Token,
};
use keybearer_host::Environment;
use tokio::sync::Mutex;

use crate::in_process::InProcess;
use crate::options::ParentWindow;
#[cfg(target_os = "linux")]
use linux::find;
#[cfg(not(any(target_os = "linux", windows)))]
use none::find;
#[cfg(windows)]
use windows::find;

/// Whether to use a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(clippy::exhaustive_enums, reason = "there is no fourth way")]
pub enum BrokerChoice {
    /// If there is one or one can be started; else sign in from this process.
    #[default]
    Auto,
    /// Only; fail with `Unavailable` if there is none.
    Required,
    /// Not at all.
    Never,
}

/// How to find the broker.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "built field by field")]
pub struct LocalBrokerOptions {
    /// Whether to use one at all.
    pub choice: BrokerChoice,
    /// Authority hosts this process trusts without asking. A broker does not take our word for
    /// it, so a request it refuses for its authority is then made from this process.
    pub trusted_authority_hosts: BTreeSet<AuthorityHost>,
    /// The window that a window of the system's broker belongs to.
    pub parent_window: ParentWindow,
    /// What an engine in this process does with what it signs in.
    pub remember: Remember,
}

/// What an engine in this process does with what it signs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(clippy::exhaustive_enums, reason = "it does or it does not")]
pub enum Remember {
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
    connection: Mutex<Option<Connection>>,
    in_process: InProcess,
}

/// A connection belongs to one process: a forked child must make its own.
#[derive(Clone, Debug)]
struct Connection {
    process: u32,
    broker: Arc<dyn Reachable>,
}

/// A broker outside of this process, which may go away.
pub trait Reachable: Broker {
    /// Whether it has gone, so that every call would fail. One that is asked anew by each call
    /// never has.
    fn is_closed(&self) -> bool;
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
        let trusted = options.trusted_authority_hosts.clone();
        let in_process = InProcess::new(environment.clone(), trusted, options.remember);
        Self { environment, options, connection: Mutex::default(), in_process }
    }

    /// The broker process that serves this machine now, started if need be.
    ///
    /// # Errors
    /// `Unavailable(Broker)` with what was tried; `TimedOut`; other kinds if what answers is not
    /// to be trusted.
    pub async fn connect(&self, limit: Duration) -> Result<Arc<dyn Reachable>> {
        let connected = tokio::time::timeout(limit, self.connected(limit)).await;
        connected.unwrap_or_else(|_| Err(Error::timed_out("find the broker")))
    }

    async fn connected(&self, limit: Duration) -> Result<Arc<dyn Reachable>> {
        let mut connection = self.connection.lock().await;
        let process = std::process::id();
        if let Some(own) = connection.as_ref().filter(|own| own.process == process) {
            return Ok(Arc::clone(&own.broker));
        }
        let broker = find(&self.environment, &self.options, limit).await?;
        *connection = Some(Connection { process, broker: Arc::clone(&broker) });
        Ok(broker)
    }

    async fn forget(&self, broker: &Arc<dyn Reachable>) {
        let mut connection = self.connection.lock().await;
        if connection.as_ref().is_some_and(|own| Arc::ptr_eq(&own.broker, broker)) {
            *connection = None;
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
        if self.options.choice == BrokerChoice::Never {
            return call(self.in_process.broker(left()).await?, left()).await;
        }
        let result = match self.connect(left()).await {
            Ok(broker) => match call(broker.clone(), left()).await {
                Err(error) if broker.is_closed() => {
                    tracing::debug!(%error, "the broker went away");
                    self.forget(&broker).await;
                    match (repeat, self.connect(left()).await) {
                        (Repeat::Once, Ok(broker)) => call(broker, left()).await,
                        _ => Err(error),
                    }
                }
                result => result,
            },
            Err(error) => Err(error),
        };
        match result {
            Err(error) if self.can_do_without(&error, authority) => {
                tracing::debug!(%error, "sign in from this process");
                call(self.in_process.broker(left()).await?, left()).await
            }
            result => result,
        }
    }

    /// No broker, or one that will not serve an authority this process trusts. On Windows only a
    /// program that keeps what it signs in does without a broker unasked; others tell their callers
    /// that there is none.
    fn can_do_without(&self, error: &Error, authority: Option<&Authority>) -> bool {
        let keeps = self.options.remember != Remember::InMemory;
        let trusted =
            authority.is_some_and(|own| self.options.trusted_authority_hosts.contains(own.host()));
        self.options.choice == BrokerChoice::Auto
            && match error.kind() {
                ErrorKind::Unavailable(Missing::Broker) => keeps || cfg!(not(windows)),
                ErrorKind::InvalidRequest { field } => field == "authority" && (trusted || keeps),
                _ => false,
            }
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

#[async_trait]
impl Broker for LocalBroker {
    fn name(&self) -> &str {
        "this machine's broker"
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        let mut accounts = self
            .call(request.timeout, None, Repeat::Once, |broker, timeout| {
                let request = AccountsRequest { timeout, ..request.clone() };
                async move { broker.accounts(request).await }
            })
            .await?;
        if let Some(keeper) = self.keeper(request.timeout).await? {
            let own = keeper.accounts(request).await?;
            let new = own.into_iter().filter(|account| !accounts.contains(account));
            let new: Vec<Account> = new.collect();
            accounts.extend(new);
        }
        Ok(accounts)
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        let (limit, authority) = (request.parameters.timeout, request.parameters.authority.clone());
        let token = self
            .call(limit, Some(&authority), Repeat::Once, |broker, timeout| {
                let mut request = request.clone();
                request.parameters.timeout = timeout;
                async move { broker.acquire_silent(request).await }
            })
            .await;
        match token {
            Err(error) if matches!(error.kind(), ErrorKind::InteractionRequired { .. }) => {
                match self.keeper(limit).await? {
                    Some(keeper) => keeper.acquire_silent(request).await,
                    None => Err(error),
                }
            }
            token => token,
        }
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        let (limit, authority) = (request.parameters.timeout, request.parameters.authority.clone());
        self.call(limit, Some(&authority), Repeat::Never, |broker, timeout| {
            let mut request = request.clone();
            request.parameters.timeout = timeout;
            async move { broker.acquire_interactive(request).await }
        })
        .await
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let removed = self
            .call(request.timeout, None, Repeat::Never, |broker, timeout| {
                let request = RemoveAccountRequest { timeout, ..request.clone() };
                async move { broker.remove_account(request).await }
            })
            .await;
        match removed {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidRequest { .. }) => {
                match self.keeper(request.timeout).await? {
                    Some(keeper) => keeper.remove_account(request).await,
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
        let own = |own: &Connection| own.process == std::process::id();
        let connection = self.connection.try_lock().ok();
        let outside = connection.and_then(|own_or_not| own_or_not.clone().filter(own));
        let outside = outside.map(|connection| connection.broker as Arc<dyn Broker>);
        for broker in outside.into_iter().chain(self.in_process.opened()) {
            let cancelled = tokio::time::timeout(LIMIT, broker.cancel(request.clone())).await;
            cancelled.unwrap_or_else(|_| Err(Error::timed_out("cancel the request")))?;
        }
        Ok(())
    }
}
