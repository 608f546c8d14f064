//! A broker behind a socket in a temporary directory.
#![allow(clippy::unwrap_used, reason = "these are tests")]
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod presenting;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keybearer_core::Broker;
use keybearer_dbus::client::BrokerProxy;
use keybearer_dbus::server::serve_socket;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

pub(crate) const TEST_LIMIT: Duration = Duration::from_secs(10);

/// Serves every client that connects; ends, with all connections, when dropped.
pub(crate) struct SocketBroker {
    pub(crate) path: PathBuf,
    accepting: JoinHandle<()>,
    _directory: TempDir,
}

impl SocketBroker {
    pub(crate) fn serve(broker: Arc<dyn Broker>) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("broker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let accepting = tokio::spawn(async move {
            for number in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve_socket(stream, Arc::clone(&broker), number));
            }
        });
        Self { path, accepting, _directory: directory }
    }

    pub(crate) async fn connect(&self) -> BrokerProxy {
        BrokerProxy::connect_socket(&self.path, TEST_LIMIT).await.unwrap()
    }
}

impl Drop for SocketBroker {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
