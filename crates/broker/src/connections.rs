use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keybearer_core::{Broker, Error};
use keybearer_dbus::server::SocketService;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::activity::Activity;
use crate::control::{CONTROL_PATH, Control};
use crate::service::Service;
use crate::socket::Socket;
use crate::tracked::Tracked;

/// How many clients are connected at the same time. For one more, the one that has been silent for
/// longest is disconnected: it connects again when it wants something.
const MAX_CLIENTS: usize = 512;
/// How long the last replies may take to leave.
const LAST_REPLIES: Duration = Duration::from_secs(1);
/// With no file descriptors left, accepting again at once would spin.
const PAUSE: Duration = Duration::from_millis(100);

/// The clients on the socket.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    lines: Mutex<BTreeMap<u64, Arc<ClientConnection>>>,
}

/// One client's connection.
#[derive(Debug)]
struct ClientConnection {
    activity: Activity,
    given_up: Notify,
}

impl Connections {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lines().len()
    }

    /// Serves every client that comes, until it is time to go; then no more find the socket. Those
    /// that are there are returned, and stay until connections are to close.
    pub(crate) async fn serve(service: Arc<Service>, socket: Socket) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        let accepting = async {
            for number in 1_u64.. {
                match socket.accept().await {
                    Ok(stream) => {
                        clients.spawn(Arc::clone(&service).client(stream, number));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a client");
                        sleep(PAUSE).await;
                    }
                }
                while clients.try_join_next().is_some() {}
            }
        };
        tokio::select! {
            () = accepting => {}
            () = socket.gone() => service.stop.now(crate::StopReason::SocketGone),
            _ = service.stop.wanted() => {}
        }
        socket.remove();
        clients
    }

    /// Makes room if need be and remembers the client; `None` if all others are busy.
    fn admit(&self, number: u64) -> Option<Arc<ClientConnection>> {
        let mut lines = self.lines();
        if lines.len() >= MAX_CLIENTS {
            let quiet = lines.iter().filter_map(|(n, line)| Some((line.activity.quiet_for()?, *n)));
            let (_, longest) = quiet.max()?;
            if let Some(line) = lines.remove(&longest) {
                line.given_up.notify_one();
            }
        }
        let line =
            Arc::new(ClientConnection { activity: Activity::new(), given_up: Notify::new() });
        lines.insert(number, Arc::clone(&line));
        Some(line)
    }

    fn forget(&self, number: u64) {
        self.lines().remove(&number);
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<ClientConnection>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serving one client.
impl Service {
    async fn client(self: Arc<Self>, stream: UnixStream, number: u64) {
        let Some(line) = self.connections.admit(number) else {
            tracing::warn!("refused a client: all {MAX_CLIENTS} connections are busy");
            return;
        };
        let noticed_by = vec![self.activity.clone(), line.activity.clone()];
        let broker: Arc<dyn Broker> = Arc::new(Tracked::new(
            Arc::new(self.engine.clone()),
            noticed_by,
            self.sign_ins.clone(),
        ));
        let session = async {
            let control = Control::new(Arc::clone(&self));
            let extend = |builder: zbus::connection::Builder<'static>| {
                builder.serve_at(CONTROL_PATH, control)
            };
            let connection = tokio::select! {
                connection = SocketService::accept(stream, broker, number, extend) => connection?,
                () = self.stop.closing() => return Ok(()),
            };
            tracing::debug!(number, pid = connection.process().pid, "a client is connected");
            tokio::select! {
                () = connection.closed() => {}
                () = self.stop.closing() => {
                    let _ = timeout(LAST_REPLIES, connection.finish()).await;
                }
            }
            Ok::<(), Error>(())
        };
        tokio::select! {
            outcome = session => if let Err(error) = outcome {
                tracing::warn!(number, %error, "a client was not served");
            },
            () = line.given_up.notified() => {
                tracing::debug!(number, "made room for another client");
            }
        }
        self.connections.forget(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_client_silent_for_longest_makes_room_and_busy_ones_stay() {
        let connections = Connections::default();
        let first = connections.admit(0).unwrap();
        let call = first.activity.begin();
        tokio::time::advance(Duration::from_secs(1)).await;
        for number in 1..MAX_CLIENTS as u64 {
            connections.admit(number).unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(connections.count(), MAX_CLIENTS);
        connections.admit(1000).unwrap();
        assert_eq!(connections.count(), MAX_CLIENTS);
        assert!(connections.lines().contains_key(&0), "a busy client stays");
        assert!(!connections.lines().contains_key(&1));
        let calls: Vec<_> =
            connections.lines().values().map(|line| line.activity.begin()).collect();
        assert!(connections.admit(1001).is_none(), "all are busy");
        drop((calls, call));
        assert!(connections.admit(1001).is_some());
    }
}
