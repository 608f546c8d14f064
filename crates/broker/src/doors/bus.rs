use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use keybearer_dbus::interface::BUS_NAME;
use keybearer_dbus::server::{BusOutcome, BusService, NameOwner, serve_bus};
use tokio::time::timeout;

use super::{Door, REPLY_GRACE};
use crate::service::Service;
use crate::status::{BusStatus, NameHolder, Status};

/// A bus that takes longer to connect is not used.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The well-known name on the session bus, if there is a bus and no other program has the name.
/// Another broker keeps the name.
#[derive(Debug)]
pub(super) struct BusDoor {
    address: Option<String>,
    status: Mutex<BusStatus>,
    /// The connection that still has replies to send after the name was released.
    released: Mutex<Option<BusService>>,
}

impl BusDoor {
    pub(super) fn new(address: Option<String>) -> Self {
        let status = if address.is_some() { BusStatus::Connecting } else { BusStatus::Absent };
        Self { address, status: Mutex::new(status), released: Mutex::default() }
    }

    fn set_status(&self, status: BusStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    async fn serve(&self, service: &Service, bus: BusService) {
        tokio::select! {
            () = bus.closed() => {
                tracing::warn!("the session bus has ended; serving on the socket only");
                self.set_status(BusStatus::Lost);
            }
            _ = service.stop.wanted() => {
                // New calls go to the broker that is started next; calls under way are answered.
                let _ = timeout(REPLY_GRACE, bus.release_name()).await;
                *self.released.lock().unwrap_or_else(PoisonError::into_inner) = Some(bus);
            }
        }
    }
}

#[async_trait]
impl Door for BusDoor {
    async fn accept(&self, service: Arc<Service>) {
        let Some(address) = &self.address else {
            return tracing::info!("there is no session bus");
        };
        let broker = service.tracked(vec![service.activity.clone()]);
        let outcome = tokio::select! {
            outcome = serve_bus(address, broker, CONNECT_LIMIT) => outcome,
            _ = service.stop.wanted() => return,
        };
        match outcome {
            Ok(BusOutcome::Serving(bus)) => {
                tracing::info!("serving {BUS_NAME} on the session bus");
                self.set_status(BusStatus::Owned);
                self.serve(&service, bus).await;
            }
            Ok(BusOutcome::Taken(owner)) => {
                let holder = NameHolder::from(owner);
                tracing::warn!("{holder} has the name {BUS_NAME}; serving on the socket only");
                self.set_status(BusStatus::Taken(holder));
            }
            Err(error) => {
                tracing::warn!(%error, "the session bus cannot be used; serving on the socket only");
                self.set_status(BusStatus::Failed { reason: error.message() });
            }
        }
    }

    async fn close(&self) {
        let bus = self.released.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(bus) = bus {
            let _ = timeout(REPLY_GRACE, bus.finish()).await;
        }
    }

    /// Callers on the bus have no connection to the broker, so they are not counted.
    fn report(&self, status: &mut Status) {
        status.bus = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status.add_door("bus", status.bus.to_string());
    }
}

impl From<NameOwner> for NameHolder {
    fn from(owner: NameOwner) -> Self {
        let (pid, executable) = match owner.process {
            Some(process) => (Some(process.pid), process.executable),
            None => (None, None),
        };
        Self { unique_name: owner.unique_name, pid, executable }
    }
}
