use std::fs::File;
use std::path::Path;
use std::time::Duration;

use keybearer_core::{Error, Result};
use keybearer_dbus::client::BrokerProxy;
use keybearer_host::Paths;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

/// How long another broker may take to start or to stop.
const HANDOVER_LIMIT: Duration = Duration::from_secs(8);
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// The right to serve in this runtime directory. The system releases it when the process ends, even
/// after a crash.
#[derive(Debug)]
pub(crate) struct BrokerLock(#[allow(dead_code, reason = "held open")] File);

/// Which broker has the lock.
#[derive(Debug)]
pub(crate) enum LockOutcome {
    /// This one.
    Acquired(BrokerLock),
    /// Another broker, whose socket answers.
    HeldByOther,
}

/// Whether this process already has the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SocketOwnership {
    /// No: another broker may have it and serve instead.
    Contested,
    /// Yes, from the service manager. Clients no longer find another broker, so it will stop.
    Inherited,
}

impl BrokerLock {
    /// Takes the lock, or finds that the broker that holds it answers. The runtime directory was
    /// checked to be private.
    ///
    /// # Errors
    /// `Transient` if another process holds the lock but no broker answers on the socket.
    pub(crate) async fn acquire(paths: &Paths, ownership: SocketOwnership) -> Result<LockOutcome> {
        let deadline = Instant::now() + HANDOVER_LIMIT;
        loop {
            let lock = Self::try_acquire(&paths.lock)?;
            // A broker that serves holds the lock, so a process that listens without it is a
            // service manager. Its socket must stay; our connection made it start a broker.
            let managed = lock.is_some()
                && ownership == SocketOwnership::Contested
                && listens(&paths.socket).await;
            if let (Some(lock), false) = (lock, managed) {
                return Ok(LockOutcome::Acquired(lock));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if ownership == SocketOwnership::Contested && answers(&paths.socket, left).await {
                return Ok(LockOutcome::HeldByOther);
            }
            if left.is_zero() && managed {
                let shown = paths.socket.display();
                return Err(Error::transient(
                    None,
                    format!("a service manager listens at {shown} but starts no broker"),
                )
                .with_hint("run `systemctl --user status keybearer-broker.service` to see why"));
            }
            if left.is_zero() {
                let shown = paths.lock.display();
                return Err(Error::transient(
                    None,
                    format!("another process holds {shown} but does not serve"),
                )
                .with_hint("stop the other keybearer process, then try again"));
            }
            // The other broker is starting or stopping, which takes milliseconds.
            sleep(RETRY_INTERVAL).await;
        }
    }

    fn try_acquire(path: &Path) -> Result<Option<Self>> {
        let failed = |error: Errno| {
            Error::internal(format!("could not lock {}", path.display()))
                .with_source(std::io::Error::from(error))
                .with_hint("make its directory writable for you")
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file.into()))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Whether a process listens there, whether or not it accepts.
async fn listens(socket: &Path) -> bool {
    matches!(timeout(RETRY_INTERVAL, UnixStream::connect(socket)).await, Ok(Ok(_)))
}

async fn answers(socket: &Path, limit: Duration) -> bool {
    match BrokerProxy::connect_socket(socket, limit).await {
        Ok(broker) => broker.version(limit).await.is_ok(),
        Err(_) => false,
    }
}
