use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountsRequest, Broker, BrokerRequest, CancelRequest, CorrelationId, Deadline, Error,
    InteractiveRequest, Missing, PendingRequests, Process, RemoveAccountRequest, Result,
    SignHttpRequest, SignInOptions, SignedHttpRequest, SilentRequest, SsoCookie, SsoCookieRequest,
    Token, grace,
};
use tokio::time::{Instant, timeout};
use zbus::Connection;
use zbus::names::UniqueName;

use super::cancel::WaitingFlow;
use crate::caller_ui::OfferedCallerUi;
use crate::interface::{INTERFACE, OBJECT_PATH, PROTOCOL_VERSION};
use crate::message::{
    AcquirePrtSsoCookie, AcquireTokenInteractively, AcquireTokenSilently, BrokerMethod,
    BrokerVersion, CancelInteractiveFlow, Cancellation, GenerateSignedHttpRequest, GetAccounts,
    GetLinuxBrokerVersion, Method, RemoveAccount,
};

/// A broker in another process. Cloning shares the connection, on which any number of calls can
/// wait at the same time.
///
/// The process was checked to be this user's when the connection was made, and calls go to that
/// process only: should it end, they fail, and a new proxy has to be connected.
#[derive(Clone)]
pub struct BrokerProxy(Arc<ProxyState>);

struct ProxyState {
    connection: Connection,
    /// The checked owner of the name on a bus; `None` where the socket has one other end.
    destination: Option<UniqueName<'static>>,
    /// The interactive requests that wait for the broker.
    pending: PendingRequests<CorrelationId>,
    name: &'static str,
    process: Process,
    /// A call has found that the broker is not there any more.
    gone: AtomicBool,
}

impl BrokerProxy {
    pub(super) fn new(
        connection: Connection,
        destination: Option<UniqueName<'static>>,
        name: &'static str,
        process: Process,
    ) -> Self {
        let (pending, gone) = (PendingRequests::default(), AtomicBool::new(false));
        Self(Arc::new(ProxyState { connection, destination, pending, name, process, gone }))
    }

    /// The process that answers.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.0.process
    }

    /// The connection, for calling further objects of the same process.
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// Whether the broker listens on a private socket, as only Keybearer's does, rather than on
    /// a bus.
    #[must_use]
    pub fn is_on_socket(&self) -> bool {
        self.0.destination.is_none()
    }

    /// Whether the broker at the other end has gone, so that every call would fail. It is known at
    /// the latest when a call has failed for it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.connection.is_closed() || self.0.gone.load(Ordering::Relaxed)
    }

    /// Which broker answers.
    ///
    /// # Errors
    /// As any call: `Unavailable`, `TimedOut` after `limit`, `Transient`, `Protocol`.
    pub async fn version(&self, limit: Duration) -> Result<BrokerVersion> {
        let deadline = Deadline::after(limit, Instant::now().into_std());
        self.exchange::<GetLinuxBrokerVersion>(&(), &CorrelationId::default(), deadline).await
    }

    pub(super) fn pending(&self) -> &PendingRequests<CorrelationId> {
        &self.0.pending
    }

    /// Sends the cancellation to the broker; does not wait long for the answer.
    pub(super) async fn send_cancel(&self, cancellation: &Cancellation) {
        let deadline = Deadline::after(CancelInteractiveFlow::LIMIT, Instant::now().into_std());
        let id = cancellation.correlation_id();
        let sent = self.exchange::<CancelInteractiveFlow>(cancellation, &id, deadline).await;
        if let Err(error) = sent {
            tracing::debug!(%error, "could not cancel an interactive request");
        }
    }

    /// Lets the broker call the user interface of the request back. If it cannot be served, the
    /// request is made without it.
    async fn offer(
        &self,
        sign_in_options: &mut SignInOptions,
        call: &CorrelationId,
    ) -> Option<OfferedCallerUi> {
        let caller_ui = sign_in_options.caller_ui.clone().filter(|_| !call.is_empty());
        let ProxyState { connection, destination, .. } = &*self.0;
        let offered = match caller_ui {
            Some(caller_ui) => {
                OfferedCallerUi::serve(connection, destination.clone(), call, caller_ui).await.ok()
            }
            None => None,
        };
        if offered.is_none() {
            sign_in_options.caller_ui = None;
        }
        offered
    }

    /// Makes a request at the broker.
    async fn call<M: BrokerMethod>(&self, request: &M::Request) -> Result<M::Reply> {
        let id = request.correlation_id();
        request.checked(self.exchange::<M>(request, &id, request.deadline()).await)
    }

    /// Sends the request of any method and reads its reply.
    async fn exchange<M: Method>(
        &self,
        request: &M::Request,
        correlation_id: &CorrelationId,
        deadline: Deadline,
    ) -> Result<M::Reply> {
        let now = Instant::now().into_std();
        let json = M::encode_request(request, now);
        let limit = deadline.extended_by(grace::DBUS_CLIENT).left(now);
        let sent = timeout(limit, self.send(M::NAME, correlation_id.as_str(), &json)).await;
        let reply = sent.unwrap_or_else(|_| {
            Err(Error::timed_out(format!("timed out waiting for the broker to answer {}", M::NAME)))
        })?;
        let body = reply.body();
        let json: &str = body
            .deserialize()
            .map_err(|_| Error::protocol("text as the broker's reply", "another D-Bus type"))?;
        M::decode_reply(json, request)
    }

    async fn send(
        &self,
        method: &'static str,
        correlation_id: &str,
        json: &str,
    ) -> Result<zbus::Message> {
        let ProxyState { connection, destination, .. } = &*self.0;
        if connection.is_closed() {
            return Err(Error::unavailable(Missing::Broker, "the broker has ended"));
        }
        let arguments = (PROTOCOL_VERSION, correlation_id, json);
        connection
            .call_method(destination.as_ref(), OBJECT_PATH, Some(INTERFACE), method, &arguments)
            .await
            .map_err(|error| {
                if means_gone(&error) {
                    self.0.gone.store(true, Ordering::Relaxed);
                }
                call_error(&error)
            })
    }
}

/// Whether the other end has gone. A connection whose end shows when a call is
/// written counts as open until it is read from; and one to a bus outlives the broker on it.
fn means_gone(error: &zbus::Error) -> bool {
    use zbus::fdo::Error as Bus;
    match error {
        zbus::Error::InputOutput(_) => true,
        zbus::Error::FDO(cause) => matches!(
            **cause,
            Bus::ServiceUnknown(_)
                | Bus::NameHasNoOwner(_)
                | Bus::NoReply(_)
                | Bus::Disconnected(_)
        ),
        _ => false,
    }
}

/// What it means to the caller that a call failed on the way. Texts of D-Bus errors are left out:
/// they are the other side's and may hold anything.
fn call_error(error: &zbus::Error) -> Error {
    use zbus::fdo::Error as Bus;
    let ended = || {
        Error::transient(None, "the broker ended while it was working on the request")
            .with_hint("try again")
    };
    match error {
        zbus::Error::InputOutput(cause) => ended().with_source(Arc::clone(cause)),
        zbus::Error::FDO(cause) => match &**cause {
            Bus::ServiceUnknown(_) | Bus::NameHasNoOwner(_) => {
                Error::unavailable(Missing::Broker, "the broker has left the bus")
            }
            Bus::AccessDenied(_) => {
                Error::unavailable(Missing::Broker, "the bus refuses calls to the broker")
            }
            Bus::NoReply(_) | Bus::Disconnected(_) | Bus::Timeout(_) | Bus::TimedOut(_) => ended(),
            other => reply_expected(zbus::DBusError::name(other).as_str()),
        },
        zbus::Error::MethodError(name, ..) => reply_expected(name.as_str()),
        _ => Error::protocol("a D-Bus reply", "a malformed message"),
    }
}

fn reply_expected(error_name: &str) -> Error {
    Error::protocol("a reply of the broker", format!("the D-Bus error {error_name}"))
}

#[async_trait]
impl Broker for BrokerProxy {
    fn name(&self) -> &str {
        self.0.name
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        self.call::<GetAccounts>(&request).await
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        self.call::<AcquireTokenSilently>(&request).await
    }

    async fn acquire_interactive(&self, mut request: InteractiveRequest) -> Result<Token> {
        let offered =
            self.offer(&mut request.sign_in_options, &request.parameters.correlation_id).await;
        let parameters = &request.parameters;
        let flow = WaitingFlow::begin(self, &parameters.caller.id, &parameters.correlation_id);
        let outcome = self.call::<AcquireTokenInteractively>(&request).await;
        if !matches!(&outcome, Err(error) if *error.kind() == keybearer_core::ErrorKind::TimedOut) {
            flow.answered();
        }
        drop(offered);
        outcome
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        self.call::<RemoveAccount>(&request).await
    }

    async fn sso_cookie(&self, request: SsoCookieRequest) -> Result<SsoCookie> {
        self.call::<AcquirePrtSsoCookie>(&request).await
    }

    async fn sign_http_request(&self, request: SignHttpRequest) -> Result<SignedHttpRequest> {
        self.call::<GenerateSignedHttpRequest>(&request).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        for flow in self.0.pending.labels(&request.caller.id) {
            self.send_cancel(&Cancellation::Flow(flow)).await;
        }
        Ok(())
    }
}

impl fmt::Debug for BrokerProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerProxy")
            .field("name", &self.0.name)
            .field("process", &self.0.process)
            .finish_non_exhaustive()
    }
}
