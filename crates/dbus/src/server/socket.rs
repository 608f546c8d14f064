use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{Broker, CallerId, Denial, Error, ErrorKind, Result};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zbus::{Guid, connection};

use super::Session;
use super::adaptor::{Adaptor, Clients};
use crate::interface::OBJECT_PATH;
use crate::peer;

/// Serves one client over a connected socket, without a bus, until it disconnects. Its interactive
/// requests are cancelled then. Dropping the future ends the connection once waiting calls are
/// answered.
///
/// `number` names the connection in logs and towards the broker; no two connections share one.
///
/// # Errors
/// `Denied` if the client is another user's (invariant I2); `Protocol` if it does not finish the
/// D-Bus handshake within five seconds.
pub async fn serve_socket(stream: UnixStream, broker: Arc<dyn Broker>, number: u64) -> Result<()> {
    let process = peer::of_socket(&stream)?;
    if !peer::same_user(peer::own_uid(), Some(process.uid)) {
        return Err(foreign_user());
    }
    let stream = stream
        .into_std()
        .map_err(|error| Error::internal("take over a client's socket").with_source(error))?;
    let id = CallerId::new(&format!("socket-{number}"));
    let session = Arc::new(Session::new(broker, id, Some(process)));
    let builder = connection::Builder::unix_stream(stream)
        .server(Guid::generate())
        .p2p()
        .serve_at(OBJECT_PATH, Adaptor::new(Clients::One(session)));
    let connection = timeout(HANDSHAKE_LIMIT, builder.build())
        .await
        .map_err(|_| Error::protocol("a D-Bus handshake", "none within five seconds"))?
        .map_err(|error| {
            Error::protocol("a D-Bus handshake", "something else").with_source(error)
        })?;
    connection.closed().await;
    Ok(())
}

/// The refusal of another user's process.
pub(super) fn foreign_user() -> Error {
    let kind = ErrorKind::Denied(Denial::Configuration);
    Error::new(kind, "serve another user's program")
        .with_hint("each user runs a broker of their own")
}

/// A client of ours needs well under a millisecond; a socket that says nothing is not kept.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
