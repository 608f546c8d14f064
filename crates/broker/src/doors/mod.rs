//! The ways by which requests reach the broker.
//!
//! A door is a file beside this one with an implementation of [`Door`], and a line in [`all`].

mod bus;
mod socket;

use std::fmt;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::Result;
use keybearer_host::{Environment, Paths};

use crate::lock::BrokerLock;
use crate::service::Service;
use crate::status::Status;

/// How long the last replies may take to leave when the broker stops.
const REPLY_GRACE: Duration = Duration::from_secs(1);

/// A way by which requests reach the broker.
///
/// Every request goes through [`Service::tracked`], so that the broker knows when it is idle.
#[async_trait]
pub(crate) trait Door: fmt::Debug + Send + Sync {
    /// Accepts clients until the broker is asked to stop, or the door can no longer be used; then
    /// returns as soon as new clients find this broker here no more. Clients that are connected are
    /// served on.
    async fn accept(&self, service: Arc<Service>);

    /// Disconnects the clients, after sending the replies that are due. Called once
    /// [`accept`](Self::accept) has returned and [`Stop::closing`](crate::stop::Stop::closing)
    /// applies.
    async fn close(&self);

    /// Adds what `broker status` shows about this door: a line, and the number of its clients.
    fn report(&self, status: &mut Status);
}

/// The doors of a broker, in the order of `broker status`. The lock shows that no other broker
/// serves here.
pub(crate) fn all(
    environment: &Environment,
    paths: &Paths,
    listener: Option<UnixListener>,
    lock: &BrokerLock,
) -> Result<Vec<Arc<dyn Door>>> {
    Ok(vec![
        Arc::new(socket::SocketDoor::open(paths, listener, lock)?),
        Arc::new(bus::BusDoor::new(environment.session_bus_address())),
    ])
}
