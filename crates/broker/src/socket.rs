use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use keybearer_core::{Error, Result};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe::Receiver;
use tokio::net::{UnixListener, UnixStream};

use crate::lock::BrokerLock;

/// The socket clients find the broker at.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    identity: Identity,
    owner: Owner,
}

/// Who made the socket, and removes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owner {
    Us,
    /// The service manager: it listens on while no broker runs, so nobody who connects is lost.
    ServiceManager,
}

/// Device and inode: what tells our socket from one that took its place.
type Identity = (u64, u64);

impl Socket {
    /// Listens at `path`, in a directory that was checked to be private, in place of whatever a
    /// broker that ended badly left there. Whoever holds the lock is alone in doing so.
    pub(crate) fn bind(path: &Path, _alone: &BrokerLock) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::internal(format!("listen at {}", path.display())).with_source(error).with_hint(
                "make its directory writable for you, and its path shorter than 108 bytes",
            )
        };
        match std::fs::remove_file(path) {
            Ok(()) => tracing::info!("removed the socket a broker left behind"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        // The directory is closed, so nobody can connect before this.
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        let identity = identity(path).ok_or_else(|| gone_already(path))?;
        Ok(Self { listener, path: path.to_owned(), identity, owner: Owner::Us })
    }

    /// Serves the socket the service manager listens at (systemd.socket(5)), which must be the one
    /// at `path`: clients look nowhere else.
    pub(crate) fn adopt(listener: StdListener, path: &Path, _alone: &BrokerLock) -> Result<Self> {
        let failed = |error| Error::internal("use the service manager's socket").with_source(error);
        let address = listener.local_addr().map_err(failed)?;
        if address.as_pathname() != Some(path) {
            let message =
                format!("serve {}: the service manager gave another socket", path.display());
            return Err(Error::internal(message).with_hint(
                "run `keybearer broker install`, then `systemctl --user daemon-reload`",
            ));
        }
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        let identity = identity(path).ok_or_else(|| gone_already(path))?;
        Ok(Self { listener, path: path.to_owned(), identity, owner: Owner::ServiceManager })
    }

    /// The next client.
    pub(crate) async fn accept(&self) -> std::io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    /// Ends when clients find this socket no longer.
    pub(crate) async fn gone(&self) {
        if let Err(error) = self.watch().await {
            tracing::debug!(%error, "the socket is not watched");
            std::future::pending().await
        }
    }

    /// Removes the socket if it is ours, and still is. A client that connects now starts a new broker.
    pub(crate) fn remove(&self) {
        if self.owner == Owner::Us && self.is_there() && std::fs::remove_file(&self.path).is_err() {
            tracing::warn!("cannot remove {}", self.path.display());
        }
    }

    fn is_there(&self) -> bool {
        identity(&self.path) == Some(self.identity)
    }

    async fn watch(&self) -> std::io::Result<()> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let leaves = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
        let directory_leaves = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let directory = self.path.parent().unwrap_or_else(|| Path::new("."));
        inotify::add_watch(&events, directory, leaves | directory_leaves)?;
        // Events are read as from a pipe.
        let events = Receiver::from_owned_fd_unchecked(events)?;
        let mut ignored = [0; 4096];
        while self.is_there() {
            events.readable().await?;
            // What happened does not matter, only whether the socket is there now.
            match events.try_read(&mut ignored) {
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn gone_already(path: &Path) -> Error {
    Error::internal(format!("look at {}: it is gone already", path.display()))
}

fn identity(path: &Path) -> Option<Identity> {
    path.symlink_metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
