use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use keybearer_core::{Error, Result};
use zbus::message::Header;
use zbus::{Connection, interface};

use super::Session;
use super::bus::Sessions;
use crate::caller_ui::CallbackChannel;
use crate::message::{
    AcquirePrtSsoCookie, AcquireTokenInteractively, AcquireTokenSilently, BrokerMethod,
    CancelInteractiveFlow, Cancellation, GenerateSignedHttpRequest, GetAccounts,
    GetLinuxBrokerVersion, Method, RemoveAccount,
};

/// The interface on one connection.
pub(super) struct Adaptor {
    clients: Clients,
}

/// Who can be at the other end of a connection.
pub(super) enum Clients {
    /// One client, known from the start.
    One(Arc<Session>),
    /// Everybody on a bus.
    OnBus(Sessions),
}

impl Adaptor {
    pub(super) const fn new(clients: Clients) -> Self {
        Self { clients }
    }

    async fn session(&self, header: &Header<'_>, connection: &Connection) -> Result<Arc<Session>> {
        match (&self.clients, header.sender()) {
            (Clients::One(session), _) => Ok(Arc::clone(session)),
            (Clients::OnBus(sessions), Some(sender)) => sessions.of(sender, connection).await,
            (Clients::OnBus(_), None) => {
                Err(Error::protocol("a sender on every message of a bus", "none"))
            }
        }
    }

    /// Answers a method that asks the broker; `call` is its correlation id and its request.
    async fn answer<M: BrokerMethod>(
        &self,
        header: &Header<'_>,
        connection: &Connection,
        (correlation_id, request_json): (&str, &str),
    ) -> String {
        match self.session(header, connection).await {
            Ok(session) => session.answer::<M>(correlation_id, request_json).await,
            Err(error) => M::encode_error(&error),
        }
    }

    /// Ends when the client's connection has ended.
    async fn client_gone(&self, header: &Header<'_>, connection: &Connection) {
        match (&self.clients, header.sender()) {
            (Clients::OnBus(_), Some(sender)) => super::bus::name_gone(sender, connection).await,
            _ => connection.closed().await,
        }
    }
}

/// The first argument of each method is the protocol version. Whatever it says, there is one.
#[interface(name = "com.microsoft.identity.Broker1")]
#[allow(clippy::too_many_arguments, reason = "the interface has three, and the call two more")]
impl Adaptor {
    #[zbus(name = "acquireTokenSilently")]
    async fn acquire_token_silently(
        &self,
        _protocol_version: &str,
        correlation_id: &str,
        request_json: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> String {
        self.answer::<AcquireTokenSilently>(&header, connection, (correlation_id, request_json))
            .await
    }

    #[zbus(name = "acquireTokenInteractively")]
    async fn acquire_token_interactively(
        &self,
        _protocol_version: &str,
        correlation_id: &str,
        request_json: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> String {
        let session = match self.session(&header, connection).await {
            Ok(session) => session,
            Err(error) => return AcquireTokenInteractively::encode_error(&error),
        };
        let callback =
            CallbackChannel::new(connection.clone(), header.sender().map(|s| s.to_owned().into()));
        let answer =
            pin!(session.acquire_token_interactively(correlation_id, request_json, Some(callback)));
        let gone = pin!(self.client_gone(&header, connection));
        match select(answer, gone).await {
            Either::Left((reply, _)) => reply,
            Either::Right(((), _waiting)) => {
                let ended = session.cancel(&Cancellation::All).await;
                let error = Error::cancelled("the client's connection ended");
                AcquireTokenInteractively::encode_error(&ended.err().unwrap_or(error))
            }
        }
    }

    #[zbus(name = "getAccounts")]
    async fn get_accounts(
        &self,
        _protocol_version: &str,
        correlation_id: &str,
        request_json: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> String {
        self.answer::<GetAccounts>(&header, connection, (correlation_id, request_json)).await
    }

    #[zbus(name = "removeAccount")]
    async fn remove_account(
        &self,
        _protocol_version: &str,
        correlation_id: &str,
        request_json: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> String {
        self.answer::<RemoveAccount>(&header, connection, (correlation_id, request_json)).await
    }

    #[zbus(name = "acquirePrtSsoCookie")]
    async fn acquire_prt_sso_cookie(
        &self,
        _protocol_version: &str,
        correlation_id: &str,
        request_json: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> String {
        self.answer::<AcquirePrtSsoCookie>(&header, connection, (correlation_id, request_json))
            .await
    }

    #[zbus(name = "generateSignedHttpRequest")]
    async fn generate_signed_http_request(
        &self,
        _protocol_version: &str,
        correlation_id: &str,
        request_json: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> String {
        self.answer::<GenerateSignedHttpRequest>(
            &header,
            connection,
            (correlation_id, request_json),
        )
        .await
    }

    #[zbus(name = "cancelInteractiveFlow")]
    async fn cancel_interactive_flow(
        &self,
        _protocol_version: &str,
        correlation_id: &str,
        request_json: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> String {
        match self.session(&header, connection).await {
            Ok(session) => session.cancel_interactive_flow(correlation_id, request_json).await,
            Err(error) => CancelInteractiveFlow::encode_error(&error),
        }
    }

    #[zbus(name = "getLinuxBrokerVersion")]
    async fn get_linux_broker_version(
        &self,
        _protocol_version: &str,
        correlation_id: &str,
        request_json: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> String {
        match self.session(&header, connection).await {
            Ok(session) => session.get_linux_broker_version(correlation_id, request_json).await,
            Err(error) => GetLinuxBrokerVersion::encode_error(&error),
        }
    }
}
