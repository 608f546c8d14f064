use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use keybearer_core::{Broker, CallerId, Error, Missing, Process, Result};
use tokio::time::timeout;
use zbus::fdo::RequestNameFlags;
use zbus::message::Type;
use zbus::names::UniqueName;
use zbus::{Connection, MatchRule, MessageStream, connection};

use super::Session;
use super::adaptor::{Adaptor, Clients};
use super::socket::foreign_user;
use crate::interface::{BUS_NAME, OBJECT_PATH};
use crate::peer;

/// What came of the wish to serve on a bus.
#[derive(Debug)]
pub enum BusOutcome {
    /// This process owns the name.
    Serving(BusService),
    /// The name belongs to another process, which keeps it.
    Taken(NameOwner),
}

/// Who owns the broker's name on a bus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameOwner {
    /// Its unique name on the bus.
    pub unique_name: String,
    /// The process, if the bus reports it.
    pub process: Option<Process>,
}

/// A broker on a bus. Dropping it ends the connection once waiting calls are answered.
#[derive(Debug)]
pub struct BusService {
    connection: Connection,
}

impl BusService {
    /// Ends when the bus is gone.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }

    /// Gives the name up, so that new calls go elsewhere; calls that wait are still answered.
    ///
    /// # Errors
    /// `Unavailable` if the bus is gone.
    pub async fn release_name(&self) -> Result<()> {
        let released = self.connection.release_name(BUS_NAME).await;
        released.map(|_| ()).map_err(|error| bus_gone(error, "could not release the broker's name"))
    }

    /// Answers the calls that wait, then ends the connection.
    pub async fn finish(self) {
        self.connection.graceful_shutdown().await;
    }
}

/// Serves `broker` on the bus at `address` (such as `unix:path=/run/user/1000/bus`), under the
/// well-known name unless another process owns it. This process does not replace that one and does
/// not queue behind it, and no other process can replace this one.
///
/// # Errors
/// `Unavailable` if there is no bus there, or it does not answer within `deadline`.
pub async fn serve_bus(
    address: &str,
    broker: Arc<dyn Broker>,
    deadline: Duration,
) -> Result<BusOutcome> {
    timeout(deadline, serve(address, broker)).await.unwrap_or_else(|_| {
        Err(Error::unavailable(Missing::Broker, "the session bus did not answer in time"))
    })
}

async fn serve(address: &str, broker: Arc<dyn Broker>) -> Result<BusOutcome> {
    let adaptor = Adaptor::new(Clients::OnBus(Sessions::new(broker)));
    let connection = connection::Builder::address(address)
        .serve_at(OBJECT_PATH, adaptor)
        .build()
        .await
        .map_err(|error| bus_gone(error, "could not connect to the session bus"))?;
    let flags = RequestNameFlags::DO_NOT_QUEUE;
    match connection.request_name_with_flags(BUS_NAME, flags).await {
        Ok(_) => Ok(BusOutcome::Serving(BusService { connection })),
        Err(zbus::Error::NameTaken) => name_owner(&connection).await.map(BusOutcome::Taken),
        Err(error) => Err(bus_gone(error, "could not request the broker's name")),
    }
}

async fn name_owner(bus: &Connection) -> Result<NameOwner> {
    let owner = peer::call_bus(bus, "GetNameOwner", &BUS_NAME).await;
    let owner = owner.and_then(|reply| reply.body().deserialize::<String>());
    let unique_name = owner.map_err(|error| {
        bus_gone(error, "could not find out which process has the broker's name")
    })?;
    let process = peer::of_bus_name(bus, &unique_name).await.ok().flatten();
    Ok(NameOwner { unique_name, process })
}

fn bus_gone(error: zbus::Error, attempted: &str) -> Error {
    Error::unavailable(Missing::Broker, attempted).with_source(error)
}

/// The sessions of the clients on a bus, by unique name. A unique name is never used again while
/// the bus lives, so what was learnt of one stays true.
pub(super) struct Sessions {
    broker: Arc<dyn Broker>,
    known: Mutex<HashMap<String, Arc<Session>>>,
}

impl Sessions {
    fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, known: Mutex::default() }
    }

    /// The session of a client, if it is of our user (promise I2).
    pub(super) async fn of(&self, name: &UniqueName<'_>, bus: &Connection) -> Result<Arc<Session>> {
        if let Some(session) = self.known(|known| known.get(name.as_str()).cloned()) {
            return Ok(session);
        }
        let process = peer::of_bus_name(bus, name).await?;
        if !peer::same_user(peer::own_uid(), process.as_ref().map(|process| process.uid)) {
            return Err(foreign_user());
        }
        let new = Session::new(Arc::clone(&self.broker), CallerId::new(name), process);
        Ok(self.known(|known| {
            if known.len() >= MAX_KNOWN {
                known.retain(|_, session| Arc::strong_count(session) > 1);
            }
            Arc::clone(known.entry(name.to_string()).or_insert_with(|| Arc::new(new)))
        }))
    }

    fn known<T>(&self, use_them: impl FnOnce(&mut HashMap<String, Arc<Session>>) -> T) -> T {
        use_them(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends when a unique name has left the bus. Watched only while an interactive call waits: a match
/// on every name would wake the broker whenever any program connects.
pub(super) async fn name_gone(name: &UniqueName<'_>, bus: &Connection) {
    let watch = async {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .add_arg(name.as_str())
            .build()?;
        let mut changes = MessageStream::for_match_rule(rule, bus, None).await?;
        let reply = peer::call_bus(bus, "NameHasOwner", &name.as_str()).await?;
        if reply.body().deserialize::<bool>()? {
            // The next change of a unique name is its end; so is the end of the bus.
            changes.next().await;
        }
        zbus::Result::Ok(())
    };
    if watch.await.is_err() {
        bus.closed().await;
    }
}

/// Clients whose sessions are kept; beyond it, those that have no call waiting are forgotten.
const MAX_KNOWN: usize = 256;
