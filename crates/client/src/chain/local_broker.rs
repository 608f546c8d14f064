use std::sync::Arc;
use std::time::{Duration, Instant};

use keybearer_core::{
    Account, AccountChoice, AccountsRequest, Authority, Broker, BrokerRequest, CallerUi,
    CancelRequest, Deadline, Error, ErrorKind, Forward, InteractiveRequest, Missing,
    RemoveAccountRequest, Repeat, Result, SilentRequest, Token, grace,
};
use keybearer_host::Environment;
use keybearer_native::Reachable;
use keybearer_native::limit::{deadline_after, now, within};
use tokio::sync::Mutex;

use super::policy::{BrokerKind, Next, Platform, Refused, RequestKind};
use super::{BrokerChoice, LocalBrokerOptions, find};
use crate::caller_ui::DesktopUi;
use crate::in_process::InProcess;
use crate::per_process::PerProcess;

/// The broker of this machine, found on first use and found again if it went away.
///
/// Without a broker, an engine in this process signs in with the system browser. It remembers only
/// as long as the process lives, unless the options say otherwise.
#[derive(Debug)]
pub struct LocalBroker {
    pub(super) environment: Environment,
    pub(super) options: LocalBrokerOptions,
    connection: PerProcess<Mutex<Connection>>,
    in_process: InProcess,
    caller_ui: Arc<dyn CallerUi>,
}

/// The result of looking for the broker.
#[derive(Debug, Default)]
struct Connection {
    broker: Option<Arc<dyn Reachable>>,
    /// A search that took long and found none, and when it ended.
    failed_search: Option<(Instant, Error)>,
}

/// A failed search answers the requests that are made this soon after it, such as the interactive
/// request that follows a silent one, and all that waited for it to end.
const SAME_SEARCH: Duration = Duration::from_secs(2);

/// A search that takes less is simply made again.
const LONG_SEARCH: Duration = Duration::from_secs(1);

/// A request that was not served.
struct Refusal {
    broker: BrokerKind,
    error: Error,
}

impl LocalBroker {
    /// A broker to be found by these options. Nothing is contacted yet.
    #[must_use]
    pub fn new(environment: Environment, options: LocalBrokerOptions) -> Self {
        let in_process = InProcess::new(environment.clone(), &options);
        let caller_ui =
            options.caller_ui.clone().unwrap_or_else(|| Arc::new(DesktopUi::new(&environment)));
        let connection = PerProcess::default();
        Self { environment, options, connection, in_process, caller_ui }
    }

    /// The broker process that serves this machine now, started if necessary.
    ///
    /// # Errors
    /// `Unavailable(Broker)` with what was tried; `TimedOut`; other kinds if the process that
    /// answers cannot be trusted.
    pub async fn connect(&self, limit: Duration) -> Result<Arc<dyn Reachable>> {
        self.connect_until(deadline_after(limit)).await
    }

    async fn connect_until(&self, deadline: Deadline) -> Result<Arc<dyn Reachable>> {
        let late = || Error::timed_out("timed out looking for the broker");
        let connected = within(deadline, late, self.connected(deadline)).await;
        connected.map_err(|error| match error.kind() {
            // A broker that did not answer had all the time there was.
            ErrorKind::Unavailable(Missing::Broker) if deadline.has_passed(now()) => {
                let message = "timed out looking for a broker that answers";
                Error::timed_out(message).with_source(error)
            }
            _ => error,
        })
    }

    async fn connected(&self, deadline: Deadline) -> Result<Arc<dyn Reachable>> {
        let connection = self.connection.get();
        let mut connection = connection.lock().await;
        if let Some(broker) = connection.broker.as_ref().filter(|broker| !broker.is_closed()) {
            return Ok(Arc::clone(broker));
        }
        if let Some((ended, error)) = &connection.failed_search
            && ended.elapsed() < SAME_SEARCH
        {
            return Err(error.clone());
        }
        let begun = Instant::now();
        // On the heap: a search is rare, and its future is larger than a request's.
        match Box::pin(find(&self.environment, &self.options, deadline)).await {
            Ok(broker) => Ok(Arc::clone(connection.broker.insert(broker))),
            Err(error) => {
                let is_absent = *error.kind() == ErrorKind::Unavailable(Missing::Broker);
                if is_absent && begun.elapsed() > LONG_SEARCH {
                    connection.failed_search = Some((Instant::now(), error.clone()));
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

    /// Asks the broker, and the engine in this process if the [policy](super::policy) says so.
    async fn ask<R: BrokerRequest>(&self, request: R) -> Result<R::Reply> {
        if self.options.choice == BrokerChoice::Never {
            return self.ask_engine(request).await;
        }
        let Refusal { broker, error } = match self.ask_broker(request.clone()).await {
            Ok(reply) => return Ok(reply),
            Err(refusal) => refusal,
        };
        let refused = self.refused(broker, request.authority());
        if refused.next(&error) == Next::Fail {
            return Err(error);
        }
        let kind = error.kind().name();
        match broker {
            BrokerKind::Absent => {
                tracing::debug!(kind, "there is no broker; this process serves the request");
            }
            BrokerKind::Keybearer | BrokerKind::Foreign => tracing::warn!(
                kind,
                "the broker cannot serve this request; signing in from this process"
            ),
        }
        self.ask_engine(request).await.map_err(|failure| with_source_if_none(failure, error))
    }

    fn refused(&self, broker: BrokerKind, authority: Option<&Authority>) -> Refused {
        let trusted = &self.options.trusted_authority_hosts;
        Refused {
            choice: self.options.choice,
            platform: Platform::of(&self.environment),
            persistence: self.options.remember,
            broker,
            request: match authority {
                None => RequestKind::Knowledge,
                Some(authority) if trusted.contains(authority.host()) => RequestKind::TrustedToken,
                Some(_) => RequestKind::Token,
            },
        }
    }

    /// Asks the broker process, once more if it went away and the request may be repeated.
    async fn ask_broker<R: BrokerRequest>(&self, request: R) -> Result<R::Reply, Refusal> {
        let deadline = request.deadline();
        let absent = |error| Refusal { broker: BrokerKind::Absent, error };
        let mut broker = self.connect_until(deadline).await.map_err(absent)?;
        let mut result = request.clone().ask(&*broker).await;
        if let (Err(error), true) = (&result, broker.is_closed()) {
            tracing::debug!(%error, "the broker went away");
            self.forget(&broker).await;
            if let (Repeat::Once, Ok(again)) = (R::REPEAT, self.connect_until(deadline).await) {
                broker = again;
                result = request.ask(&*broker).await;
            }
        }
        let kind = if broker.is_keybearer() { BrokerKind::Keybearer } else { BrokerKind::Foreign };
        result.map_err(|error| Refusal { broker: kind, error })
    }

    async fn ask_engine<R: BrokerRequest>(&self, request: R) -> Result<R::Reply> {
        let engine = self.in_process.broker(request.deadline()).await?;
        request.ask(&*engine).await
    }

    /// Whether no broker was found where installing one would help.
    fn lacks_a_broker(&self) -> bool {
        let connection = self.connection.get();
        cfg!(target_os = "linux")
            && self.options.choice == BrokerChoice::Auto
            && connection.try_lock().is_ok_and(|connection| connection.broker.is_none())
    }

    /// A token of the engine in this process, if the account signed in here while no broker
    /// served: a broker that serves now does not know it.
    async fn signed_in_here(&self, request: SilentRequest) -> Option<Token> {
        let by_name = matches!(
            request.parameters.account,
            AccountChoice::Exact(_) | AccountChoice::LoginHint(_)
        );
        let engine = self.in_process.opened().filter(|_| by_name)?;
        engine.acquire_silent(request).await.ok()
    }

    /// The engine in this process, if it has kept something that a broker outside does not know.
    async fn persistent_engine(&self, deadline: Deadline) -> Result<Option<Arc<dyn Broker>>> {
        if self.options.choice == BrokerChoice::Auto && self.in_process.has_kept() {
            self.in_process.broker(deadline).await.map(Some)
        } else {
            Ok(None)
        }
    }
}

/// A caller that sees why this process could not serve the request also sees what the broker said.
fn with_source_if_none(error: Error, refusal: Error) -> Error {
    match std::error::Error::source(&error) {
        None => error.with_source(refusal),
        Some(_) => error,
    }
}

impl Forward for LocalBroker {
    fn forward_name(&self) -> &str {
        "this machine's broker"
    }

    async fn forward<R: BrokerRequest>(&self, request: R) -> Result<R::Reply> {
        let deadline = request.deadline().extended_by(grace::CHAIN);
        let late = || Error::timed_out("timed out waiting for the broker");
        within(deadline, late, self.ask(request)).await
    }

    async fn forward_accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        let mut accounts = self.forward(request.clone()).await?;
        if let Some(engine) = self.persistent_engine(request.deadline).await? {
            let own = engine.accounts(request).await?;
            let new = own.into_iter().filter(|account| !accounts.contains(account));
            let new: Vec<Account> = new.collect();
            accounts.extend(new);
        }
        Ok(accounts)
    }

    async fn forward_silent(&self, request: SilentRequest) -> Result<Token> {
        let result = self.forward(request.clone()).await;
        let Err(error) = &result else { return result };
        if !matches!(error.kind(), ErrorKind::InteractionRequired { .. }) {
            return result;
        }
        if let Some(engine) = self.persistent_engine(request.parameters.deadline).await? {
            return engine.acquire_silent(request).await;
        }
        self.signed_in_here(request).await.map_or(result, Ok)
    }

    async fn forward_interactive(&self, mut request: InteractiveRequest) -> Result<Token> {
        request.sign_in_options.caller_ui.get_or_insert_with(|| Arc::clone(&self.caller_ui));
        let correlation_id = request.parameters.correlation_id.clone();
        let token = self.forward(request).await?;
        if self.lacks_a_broker() {
            tracing::warn!(
                %correlation_id,
                "there is no broker, so this sign-in is forgotten when the program ends; \
                 the program keybearer keeps sign-ins for all programs"
            );
        }
        Ok(token)
    }

    async fn forward_remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let removed = self.forward(request.clone()).await;
        match removed {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidRequest { .. }) => {
                match self.persistent_engine(request.deadline).await? {
                    Some(engine) => engine.remove_account(request).await,
                    None => Err(error),
                }
            }
            removed => removed,
        }
    }

    /// If no broker has been contacted there is nothing to cancel. While one is being looked for,
    /// this does not wait: the search may be the very request being cancelled.
    async fn forward_cancel(&self, request: CancelRequest) -> Result<()> {
        const LIMIT: Duration = Duration::from_secs(2);
        let connection = self.connection.get();
        let outside = connection.try_lock().ok().and_then(|connection| connection.broker.clone());
        let outside = outside.map(|broker| broker as Arc<dyn Broker>);
        for broker in outside.into_iter().chain(self.in_process.opened()) {
            let deadline = deadline_after(LIMIT);
            let late = || Error::timed_out("timed out cancelling the request");
            within(deadline, late, broker.cancel(request.clone())).await?;
        }
        Ok(())
    }
}
