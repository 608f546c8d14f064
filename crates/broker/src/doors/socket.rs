use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::Result;
use keybearer_dbus::server::SocketService;
use keybearer_host::Paths;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Door, REPLY_GRACE};
use crate::clients::{ClientConnection, Clients, MAX_CLIENTS};
use crate::control::{CONTROL_PATH, Control};
use crate::listening_socket::ListeningSocket;
use crate::lock::BrokerLock;
use crate::service::Service;
use crate::status::Status;
use crate::stop::StopReason;

/// With no file descriptors left, accepting again at once would spin.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Keybearer's own socket. Each client has a connection of its own.
#[derive(Debug)]
pub(super) struct SocketDoor {
    socket: ListeningSocket,
    clients: Arc<Clients>,
    tasks: Mutex<JoinSet<()>>,
}

impl SocketDoor {
    /// Listens at the broker's place, or uses the service manager's listener.
    pub(super) fn open(
        paths: &Paths,
        listener: Option<UnixListener>,
        lock: &BrokerLock,
    ) -> Result<Self> {
        let socket = match listener {
            Some(listener) => ListeningSocket::adopt(listener, &paths.socket, lock)?,
            None => ListeningSocket::bind(&paths.socket, lock)?,
        };
        Ok(Self { socket, clients: Arc::default(), tasks: Mutex::default() })
    }

    async fn accept_clients(&self, service: &Arc<Service>) {
        for number in 1_u64.. {
            match self.socket.accept().await {
                Ok(stream) => {
                    let client = Client {
                        service: Arc::clone(service),
                        clients: Arc::clone(&self.clients),
                        number,
                    };
                    self.tasks().spawn(client.serve(stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a client");
                    sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
            let mut tasks = self.tasks();
            while tasks.try_join_next().is_some() {}
        }
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Door for SocketDoor {
    async fn accept(&self, service: Arc<Service>) {
        tracing::info!("serving on {}", self.socket.path().display());
        tokio::select! {
            () = self.accept_clients(&service) => {}
            () = self.socket.gone() => service.stop.now(StopReason::SocketGone),
            _ = service.stop.wanted() => {}
        }
        self.socket.remove();
    }

    async fn close(&self) {
        let tasks = std::mem::take(&mut *self.tasks());
        tasks.join_all().await;
    }

    fn report(&self, status: &mut Status) {
        let count = self.clients.count();
        let clients = if count == 1 { "1 client".to_owned() } else { format!("{count} clients") };
        status.clients += count;
        status.add_door("socket", format!("{} ({clients})", self.socket.path().display()));
    }
}

/// One client that has connected.
struct Client {
    service: Arc<Service>,
    clients: Arc<Clients>,
    number: u64,
}

impl Client {
    async fn serve(self, stream: UnixStream) {
        let Some(connection) = self.clients.admit(self.number) else {
            tracing::warn!("refused a client: all {MAX_CLIENTS} connections are busy");
            return;
        };
        let number = self.number;
        tokio::select! {
            outcome = self.converse(stream, &connection) => if let Err(error) = outcome {
                tracing::warn!(number, %error, "could not serve a client");
            },
            () = connection.evicted() => {
                tracing::debug!(number, "disconnected to make room for another client");
            }
        }
        self.clients.remove(number);
    }

    async fn converse(&self, stream: UnixStream, connection: &ClientConnection) -> Result<()> {
        let Self { service, number, .. } = self;
        let activities = vec![service.activity.clone(), connection.activity.clone()];
        let broker = service.tracked(activities);
        let control = Control::new(Arc::clone(service));
        let extend =
            |builder: zbus::connection::Builder<'static>| builder.serve_at(CONTROL_PATH, control);
        let connection = tokio::select! {
            connection = SocketService::accept(stream, broker, *number, extend) => connection?,
            () = service.stop.closing() => return Ok(()),
        };
        tracing::debug!(number, pid = connection.process().pid, "a client is connected");
        tokio::select! {
            () = connection.closed() => {}
            () = service.stop.closing() => {
                let _ = timeout(REPLY_GRACE, connection.finish()).await;
            }
        }
        Ok(())
    }
}
