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

/// A broker that starts or ends at the same moment gets this long to do so.
const HANDOVER_LIMIT: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(10);

/// The right to serve in this runtime directory; the system takes it back when the process ends,
/// however it ends.
#[derive(Debug)]
pub(crate) struct BrokerLock(#[allow(dead_code, reason = "held open")] File);

/// Which of several brokers started at the same time this one is.
#[derive(Debug)]
pub(crate) enum LockOutcome {
    /// The one that serves.
    Ours(BrokerLock),
    /// Another one serves already, and its socket answers.
    Theirs,
}

/// Whether whoever has the lock may be left to serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SocketOwnership {
    /// The other one will do as well.
    Contested,
    /// The socket is in our hands, so the other one is no longer found, and ends.
    Ours,
}

impl BrokerLock {
    /// Takes the lock, or finds that the broker that has it answers. The runtime directory was
    /// checked to be private.
    ///
    /// # Errors
    /// `Transient` if the lock is held and nobody answers on the socket.
    pub(crate) async fn acquire(paths: &Paths, seat: SocketOwnership) -> Result<LockOutcome> {
        let deadline = Instant::now() + HANDOVER_LIMIT;
        loop {
            let lock = Self::try_acquire(&paths.lock)?;
            // Whoever serves has the lock, so who listens without it is a service manager, and
            // its socket is not to be taken away: it has heard us, and starts a broker for it.
            let managed = lock.is_some()
                && seat == SocketOwnership::Contested
                && listens(&paths.socket).await;
            if let (Some(lock), false) = (lock, managed) {
                return Ok(LockOutcome::Ours(lock));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if seat == SocketOwnership::Contested && answers(&paths.socket, left).await {
                return Ok(LockOutcome::Theirs);
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
                .with_hint("end the other keybearer process, then try again"));
            }
            // It has just started or is just ending; either shows within milliseconds.
            sleep(PAUSE).await;
        }
    }

    fn try_acquire(path: &Path) -> Result<Option<Self>> {
        let failed = |error: Errno| {
            Error::internal(format!("lock {}", path.display()))
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

/// Whether somebody listens there, served or not.
async fn listens(socket: &Path) -> bool {
    matches!(timeout(PAUSE, UnixStream::connect(socket)).await, Ok(Ok(_)))
}

async fn answers(socket: &Path, limit: Duration) -> bool {
    match BrokerProxy::connect_socket(socket, limit).await {
        Ok(broker) => broker.version(limit).await.is_ok(),
        Err(_) => false,
    }
}
