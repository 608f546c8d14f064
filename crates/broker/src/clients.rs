use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::activity::Activity;

/// How many clients are connected at the same time. To admit one more, the client that has been
/// silent longest is disconnected; it connects again when it has a request.
pub(crate) const MAX_CLIENTS: usize = 512;

/// The clients on the socket, by number.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<BTreeMap<u64, Arc<ClientConnection>>>);

/// The connection of one client.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    pub(crate) activity: Activity,
    evicted: Notify,
}

impl Clients {
    /// How many clients are connected.
    pub(crate) fn count(&self) -> usize {
        self.connections().len()
    }

    /// Records a new client, and makes room for it if necessary; `None` if there is no room because
    /// all others are busy.
    pub(crate) fn admit(&self, number: u64) -> Option<Arc<ClientConnection>> {
        let mut connections = self.connections();
        if connections.len() >= MAX_CLIENTS {
            let silent = connections
                .iter()
                .filter_map(|(number, client)| Some((client.activity.quiet_for()?, *number)));
            let (_, longest_silent) = silent.max()?;
            if let Some(client) = connections.remove(&longest_silent) {
                client.evicted.notify_one();
            }
        }
        let client =
            Arc::new(ClientConnection { activity: Activity::new(), evicted: Notify::new() });
        connections.insert(number, Arc::clone(&client));
        Some(client)
    }

    /// Forgets a client that has left.
    pub(crate) fn remove(&self, number: u64) {
        self.connections().remove(&number);
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<ClientConnection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientConnection {
    /// Waits until the client has to make room for another.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_client_silent_for_longest_makes_room_and_busy_ones_stay() {
        let clients = Clients::default();
        let first = clients.admit(0).unwrap();
        let call = first.activity.begin();
        tokio::time::advance(Duration::from_secs(1)).await;
        for number in 1..MAX_CLIENTS as u64 {
            clients.admit(number).unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(clients.count(), MAX_CLIENTS);
        clients.admit(1000).unwrap();
        assert_eq!(clients.count(), MAX_CLIENTS);
        assert!(clients.connections().contains_key(&0), "a busy client stays");
        assert!(!clients.connections().contains_key(&1));
        let calls: Vec<_> =
            clients.connections().values().map(|client| client.activity.begin()).collect();
        assert!(clients.admit(1001).is_none(), "all are busy");
        drop((calls, call));
        assert!(clients.admit(1001).is_some());
    }
}
