use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use keybearer_core::{Error, Result};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe::Receiver;
use tokio::net::{UnixListener, UnixStream};

use crate::lock::BrokerLock;

/// The socket at which clients find the broker.
#[derive(Debug)]
pub(crate) struct ListeningSocket {
    listener: UnixListener,
    path: PathBuf,
    identity: Identity,
    owner: Owner,
}

/// The process that made the socket, and removes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owner {
    Broker,
    /// The service manager keeps listening while no broker runs, so no client is refused.
    ServiceManager,
}

/// Device and inode: they distinguish our socket from another one at the same path.
type Identity = (u64, u64);

impl ListeningSocket {
    /// Listens at `path`, in a directory that was checked to be private. A socket that a crashed
    /// broker left there is removed; the lock shows that no broker serves it.
    pub(crate) fn bind(path: &Path, _lock: &BrokerLock) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::internal(format!("could not listen at {}", path.display()))
                .with_source(error)
                .with_hint(
                    "make its directory writable for you, and its path shorter than 108 bytes",
                )
        };
        match std::fs::remove_file(path) {
            Ok(()) => tracing::info!("removed the socket of a broker that crashed"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        // Other users cannot enter the directory, so they cannot connect before this.
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        let identity = identity(path).ok_or_else(|| gone_already(path))?;
        Ok(Self { listener, path: path.to_owned(), identity, owner: Owner::Broker })
    }

    /// Uses the socket on which the service manager listens (systemd.socket(5)). It must be at `path`,
    /// because clients look nowhere else.
    pub(crate) fn adopt(listener: StdListener, path: &Path, _lock: &BrokerLock) -> Result<Self> {
        let failed = |error| {
            Error::internal("could not use the service manager's socket")
                .with_source(error)
                .with_hint("run `systemctl --user restart keybearer-broker.socket`")
        };
        let address = listener.local_addr().map_err(failed)?;
        if address.as_pathname() != Some(path) {
            let message = format!(
                "could not serve {}: the service manager passed a socket at another path",
                path.display()
            );
            return Err(Error::internal(message).with_hint(
                "run `keybearer broker install`, then `systemctl --user daemon-reload`",
            ));
        }
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        let identity = identity(path).ok_or_else(|| gone_already(path))?;
        Ok(Self { listener, path: path.to_owned(), identity, owner: Owner::ServiceManager })
    }

    /// The path of the socket.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The connection of the next client.
    pub(crate) async fn accept(&self) -> std::io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    /// Waits until clients no longer find this socket at its path.
    pub(crate) async fn gone(&self) {
        if let Err(error) = self.watch().await {
            tracing::debug!(%error, "could not watch the socket");
            std::future::pending().await
        }
    }

    /// Removes the socket if this broker made it and it is still there. A client that connects later
    /// starts a new broker.
    pub(crate) fn remove(&self) {
        if self.owner == Owner::Broker
            && self.is_there()
            && std::fs::remove_file(&self.path).is_err()
        {
            tracing::warn!("could not remove {}", self.path.display());
        }
    }

    fn is_there(&self) -> bool {
        identity(&self.path) == Some(self.identity)
    }

    async fn watch(&self) -> std::io::Result<()> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let file_leaves = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
        let directory_leaves = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let directory = self.path.parent().unwrap_or_else(|| Path::new("."));
        inotify::add_watch(&events, directory, file_leaves | directory_leaves)?;
        // An inotify descriptor can be read like a pipe.
        let events = Receiver::from_owned_fd_unchecked(events)?;
        let mut ignored = [0; 4096];
        while self.is_there() {
            events.readable().await?;
            // Which event it is does not matter, only whether the socket is there now.
            match events.try_read(&mut ignored) {
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn gone_already(path: &Path) -> Error {
    Error::internal(format!("could not look at {}: it is gone already", path.display()))
        .with_hint("stop what deletes files in the runtime directory, then try again")
}

fn identity(path: &Path) -> Option<Identity> {
    path.symlink_metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
