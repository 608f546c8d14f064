//! Finding the broker of this machine.
//!
//! In this order: Keybearer's socket; whoever owns, or can be activated for, the well-known name on
//! the session bus; a Keybearer broker started now. If none is to be had, an engine in this process
//! signs in with the system browser and remembers only as long as the process lives.

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
use keybearer_dbus::client::{Activation, BrokerProxy};
use keybearer_host::{Environment, Paths};
use tokio::sync::Mutex;

use crate::in_process::InProcess;
use crate::start::{find_program, start_broker};

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
    broker: Arc<BrokerProxy>,
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
        let in_process = InProcess::new(environment.clone(), trusted);
        Self { environment, options, connection: Mutex::default(), in_process }
    }

    /// The broker process that serves this machine now, started if need be.
    ///
    /// # Errors
    /// `Unavailable(Broker)` with what was tried; `TimedOut`; other kinds if what answers is not
    /// to be trusted.
    pub async fn connect(&self, limit: Duration) -> Result<Arc<BrokerProxy>> {
        let connected = tokio::time::timeout(limit, self.connected(limit)).await;
        connected.unwrap_or_else(|_| Err(Error::timed_out("find the broker")))
    }

    async fn connected(&self, limit: Duration) -> Result<Arc<BrokerProxy>> {
        let mut connection = self.connection.lock().await;
        let process = std::process::id();
        if let Some(own) = connection.as_ref().filter(|own| own.process == process) {
            return Ok(Arc::clone(&own.broker));
        }
        let broker = Arc::new(find(&self.environment, limit).await?);
        *connection = Some(Connection { process, broker: Arc::clone(&broker) });
        Ok(broker)
    }

    async fn forget(&self, broker: &Arc<BrokerProxy>) {
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
            return call(self.in_process.broker().await?, left()).await;
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
                call(self.in_process.broker().await?, left()).await
            }
            result => result,
        }
    }

    /// No broker, or one that will not serve an authority this process trusts.
    fn can_do_without(&self, error: &Error, authority: Option<&Authority>) -> bool {
        let trusted =
            authority.is_some_and(|own| self.options.trusted_authority_hosts.contains(own.host()));
        self.options.choice == BrokerChoice::Auto
            && match error.kind() {
                ErrorKind::Unavailable(Missing::Broker) => true,
                ErrorKind::InvalidRequest { field } => field == "authority" && trusted,
                _ => false,
            }
    }
}

/// A broker that does not even shake hands in this time is as good as absent.
const SOCKET_LIMIT: Duration = Duration::from_secs(3);

/// The same for one that the session bus may have to start.
const BUS_LIMIT: Duration = Duration::from_secs(15);

async fn find(environment: &Environment, limit: Duration) -> Result<BrokerProxy> {
    let mut tried: Vec<String> = Vec::new();
    let mut absent = |error: Error| match error.kind() {
        ErrorKind::Unavailable(Missing::Broker) => {
            tracing::debug!(%error, "no broker here");
            tried.push(error.message());
            Ok(error)
        }
        _ => Err(error),
    };
    let paths = Paths::current(environment)?;
    match BrokerProxy::connect_socket(&paths.socket, limit.min(SOCKET_LIMIT)).await {
        Err(error) => drop(absent(error)?),
        found => return found,
    }
    if let Some(address) = environment.session_bus_address() {
        let limit = limit.min(BUS_LIMIT);
        match BrokerProxy::connect_bus(&address, Activation::Start, limit).await {
            Err(error) => drop(absent(error)?),
            found => return found,
        }
    }
    let own = std::env::current_exe().ok();
    let hint = match find_program(environment, own.as_deref()) {
        None => {
            tried.push("the keybearer program is not installed".to_owned());
            "install the keybearer program, or put it on PATH".to_owned()
        }
        Some(program) => match start_broker(&program, &paths, limit).await {
            Ok(()) => return BrokerProxy::connect_socket(&paths.socket, SOCKET_LIMIT).await,
            Err(error) => absent(error)?.hint().unwrap_or_default().to_owned(),
        },
    };
    Err(Error::unavailable(Missing::Broker, format!("find a broker: {}", tried.join("; ")))
        .with_hint(hint))
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
        self.call(limit, Some(&authority), Repeat::Once, |broker, timeout| {
            let mut request = request.clone();
            request.parameters.timeout = timeout;
            async move { broker.acquire_silent(request).await }
        })
        .await
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
