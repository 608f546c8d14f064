//! The broker of this machine. Which one that is, each platform's module beside this one says. If
//! none is to be had, an engine in this process signs in with the system browser and remembers only
//! as long as the process lives.

mod fallback;
mod linux;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountChoice, AccountsRequest, Authority, AuthorityHost, Broker, CancelRequest,
    Error, ErrorKind, InteractiveRequest, Presenter, RemoveAccountRequest, Result, SignHttpRequest,
    SignedHttpRequest, SilentRequest, SsoCookie, SsoCookieRequest, Token,
};
use keybearer_engine::Http;
use keybearer_host::Environment;
use tokio::sync::Mutex;

use crate::in_process::InProcess;
use crate::per_process::PerProcess;
use crate::presenter::DesktopPresenter;
use crate::window::ParentWindow;
use fallback::{Asked, Place, browser_can_help};
use linux::find;

/// Whether to use a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(clippy::exhaustive_enums, reason = "there is no fourth way")]
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
#[allow(clippy::exhaustive_structs, reason = "built field by field")]
pub struct LocalBrokerOptions {
    /// Whether to use one at all.
    pub choice: BrokerChoice,
    /// Authority hosts this process trusts without asking. A broker does not take our word for
    /// it, so a request it refuses for its authority is then made from this process.
    pub trusted_authority_hosts: BTreeSet<AuthorityHost>,
    /// The window a broker's window belongs to.
    pub parent_window: ParentWindow,
    /// What an engine in this process reaches the provider through, instead of its own.
    pub http: Option<Arc<dyn Http>>,
    /// The caller's side of sign-ins, for requests that bring none. Default: the browser of this
    /// process's environment ([`DesktopPresenter`]).
    pub presenter: Option<Arc<dyn Presenter>>,
}

impl LocalBrokerOptions {
    /// Whether they are of so few kinds that a process can keep a broker for each.
    fn are_common(&self) -> bool {
        self.http.is_none()
            && self.presenter.is_none()
            && !matches!(self.parent_window, ParentWindow::Handle(_))
    }
}

/// The broker of this machine, found on first use and found again if it went away.
#[derive(Debug)]
pub struct LocalBroker {
    environment: Environment,
    options: LocalBrokerOptions,
    connection: PerProcess<Mutex<Option<Arc<dyn Reachable>>>>,
    in_process: InProcess,
    presenter: Arc<dyn Presenter>,
}

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
        let presenter = options
            .presenter
            .clone()
            .unwrap_or_else(|| Arc::new(DesktopPresenter::new(&environment)));
        let connection = PerProcess::default();
        Self { environment, options, connection, in_process, presenter }
    }

    /// As [`new`](Self::new), one for all in this process that want the same: they share the
    /// connection and, without a broker, who has signed in. They last as long as the process.
    pub(crate) fn shared(environment: Environment, options: LocalBrokerOptions) -> Arc<Self> {
        if !options.are_common() {
            return Arc::new(Self::new(environment, options));
        }
        static SHARED: std::sync::Mutex<Vec<Arc<LocalBroker>>> = std::sync::Mutex::new(Vec::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |broker: &&Arc<Self>| {
            let own = &broker.options;
            broker.environment == environment
                && own.choice == options.choice
                && own.parent_window == options.parent_window
                && own.trusted_authority_hosts == options.trusted_authority_hosts
        };
        if let Some(broker) = shared.iter().find(same) {
            return Arc::clone(broker);
        }
        let broker = Arc::new(Self::new(environment, options));
        shared.push(Arc::clone(&broker));
        broker
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
        let connection = self.connection.get();
        let mut connection = connection.lock().await;
        if let Some(broker) = &*connection {
            return Ok(Arc::clone(broker));
        }
        let broker = find(&self.environment, limit).await?;
        Ok(Arc::clone(connection.insert(broker)))
    }

    async fn forget(&self, broker: &Arc<dyn Reachable>) {
        let connection = self.connection.get();
        let mut connection = connection.lock().await;
        if connection.as_ref().is_some_and(|own| Arc::ptr_eq(own, broker)) {
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
            return call(self.in_process.broker().await?, left()).await;
        }
        match self.at_broker(deadline, repeat, &call).await {
            Err(refusal) if self.can_do_without(&refusal, authority) => {
                tracing::debug!(error = %refusal.error, "sign in from this process");
                call(self.in_process.broker().await?, left()).await
            }
            result => result.map_err(|refusal| refusal.error),
        }
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

    fn can_do_without(&self, refusal: &Refusal, authority: Option<&Authority>) -> bool {
        let trusted = |host| self.options.trusted_authority_hosts.contains(host);
        let asked = match authority {
            None => Asked::Knowledge,
            Some(authority) if trusted(authority.host()) => Asked::TrustedToken,
            Some(_) => Asked::Token,
        };
        self.options.choice == BrokerChoice::Auto
            && browser_can_help(Place::of(&self.environment), refusal.broker, asked, &refusal.error)
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
}

#[async_trait]
impl Broker for LocalBroker {
    fn name(&self) -> &str {
        "this machine's broker"
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        self.call(request.timeout, None, Repeat::Once, |broker, timeout| {
            let request = AccountsRequest { timeout, ..request.clone() };
            async move { broker.accounts(request).await }
        })
        .await
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
        self.signed_in_here(request).await.map_or(result, Ok)
    }

    async fn acquire_interactive(&self, mut request: InteractiveRequest) -> Result<Token> {
        request.presence.presenter.get_or_insert_with(|| Arc::clone(&self.presenter));
        let (limit, authority) = (request.parameters.timeout, request.parameters.authority.clone());
        self.call(limit, Some(&authority), Repeat::Never, |broker, timeout| {
            let mut request = request.clone();
            request.parameters.timeout = timeout;
            async move { broker.acquire_interactive(request).await }
        })
        .await
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        self.call(request.timeout, None, Repeat::Never, |broker, timeout| {
            let request = RemoveAccountRequest { timeout, ..request.clone() };
            async move { broker.remove_account(request).await }
        })
        .await
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

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        const LIMIT: Duration = Duration::from_secs(2);
        self.call(LIMIT, None, Repeat::Never, |broker, _| {
            let request = request.clone();
            async move { broker.cancel(request).await }
        })
        .await
    }
}
