use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{Broker, CallerId, Denial, Error, ErrorKind, Process, Result};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::{Connection, Guid};

use super::Session;
use super::adaptor::{Adaptor, Clients};
use crate::interface::OBJECT_PATH;
use crate::peer;

/// Serves one client over a connected socket, without a bus, until it disconnects. Its interactive
/// requests are cancelled then. Dropping the future ends the connection once waiting calls are
/// answered.
///
/// # Errors
/// As [`SocketService::accept`].
pub async fn serve_socket(stream: UnixStream, broker: Arc<dyn Broker>, number: u64) -> Result<()> {
    SocketService::accept(stream, broker, number, |own| own).await?.closed().await;
    Ok(())
}

/// One client's connection over a socket. Dropping it ends the connection once waiting calls are
/// answered.
#[derive(Debug)]
pub struct SocketService {
    connection: Connection,
    process: Process,
}

impl SocketService {
    /// Takes a connected socket over, if the client at its other end is of our user.
    ///
    /// `number` names the connection in logs and towards the broker; no two connections share one.
    /// `extend` adds further objects for this client to call.
    ///
    /// # Errors
    /// `Denied` if the client is another user's (promise I2); `Protocol` if it does not finish
    /// the D-Bus handshake within five seconds.
    pub async fn accept(
        stream: UnixStream,
        broker: Arc<dyn Broker>,
        number: u64,
        extend: impl FnOnce(Builder<'static>) -> Builder<'static>,
    ) -> Result<Self> {
        let process = peer::of_socket(&stream)?;
        if !peer::same_user(peer::own_uid(), Some(process.uid)) {
            return Err(foreign_user());
        }
        let stream = stream.into_std().map_err(|error| {
            Error::internal("could not take over a client's socket").with_source(error)
        })?;
        let id = CallerId::new(&format!("socket-{number}"));
        let session = Arc::new(Session::new(broker, id, Some(process.clone())));
        let builder = Builder::unix_stream(stream)
            .server(Guid::generate())
            .p2p()
            .serve_at(OBJECT_PATH, Adaptor::new(Clients::One(session)));
        let connection = timeout(HANDSHAKE_LIMIT, extend(builder).build())
            .await
            .map_err(|_| Error::protocol("a D-Bus handshake", "none within five seconds"))?
            .map_err(|error| {
                Error::protocol("a D-Bus handshake", "something else").with_source(error)
            })?;
        Ok(Self { connection, process })
    }

    /// The client.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Ends when the client is gone.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }

    /// Answers the calls that wait, then ends the connection.
    pub async fn finish(self) {
        self.connection.graceful_shutdown().await;
    }
}

/// The refusal of another user's process.
pub(super) fn foreign_user() -> Error {
    let kind = ErrorKind::Denied(Denial::Configuration);
    Error::new(kind, "could not serve the client: it belongs to another user")
        .with_hint("run a broker as that user; each user has one")
}

/// Keybearer's clients need well under a millisecond; a socket that sends nothing is closed.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
