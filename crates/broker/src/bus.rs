use std::sync::Arc;
use std::time::Duration;

use keybearer_core::Broker;
use keybearer_dbus::interface::BUS_NAME;
use keybearer_dbus::server::{BusOutcome, BusService, NameOwner, serve_bus};
use tokio::time::timeout;

use crate::service::Service;
use crate::status::{BusStatus, NameHolder};
use crate::tracked::Tracked;

/// A bus that takes longer is as good as absent. The socket serves meanwhile.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long the last replies may take to leave.
const LAST_REPLIES: Duration = Duration::from_secs(1);

impl Service {
    /// Serves on the session bus until it is time to go, if there is a bus and nobody else has the
    /// broker's name. Another broker is left alone.
    pub(crate) async fn serve_session_bus(self: Arc<Self>, address: Option<String>) {
        let Some(address) = address else {
            tracing::info!("there is no session bus");
            return self.set_bus_status(BusStatus::Absent);
        };
        let noticed_by = vec![self.activity.clone()];
        let broker: Arc<dyn Broker> = Arc::new(Tracked::new(
            Arc::new(self.engine.clone()),
            noticed_by,
            self.sign_ins.clone(),
        ));
        let outcome = tokio::select! {
            outcome = serve_bus(&address, broker, DEADLINE) => outcome,
            _ = self.stop.wanted() => return,
        };
        match outcome {
            Ok(BusOutcome::Serving(bus)) => {
                tracing::info!("serving {BUS_NAME} on the session bus");
                self.set_bus_status(BusStatus::Owned);
                self.keep_name(bus).await;
            }
            Ok(BusOutcome::Taken(owner)) => {
                let holder = NameHolder::from(owner);
                tracing::warn!("{holder} has the name {BUS_NAME}; serving on the socket only");
                self.set_bus_status(BusStatus::Taken(holder));
            }
            Err(error) => {
                tracing::warn!(%error, "serving on the socket only");
                self.set_bus_status(BusStatus::Failed { reason: error.message() });
            }
        }
    }

    async fn keep_name(&self, bus: BusService) {
        tokio::select! {
            () = bus.closed() => {
                tracing::warn!("the session bus has ended; serving on the socket only");
                self.set_bus_status(BusStatus::Lost);
            }
            _ = self.stop.wanted() => {
                // New calls go to whoever is started next; those under way are answered.
                let _ = timeout(LAST_REPLIES, bus.release_name()).await;
                self.stop.closing().await;
                let _ = timeout(LAST_REPLIES, bus.finish()).await;
            }
        }
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
