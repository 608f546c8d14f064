use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{Error, ErrorKind, Missing, Result};
use keybearer_host::{Environment, Paths, private_dir};
use listenfd::ListenFd;
use tokio::time::{sleep, timeout};

use crate::connections::Connections;
use crate::control::{BrokerControl, SignIns};
use crate::hardening::harden;
use crate::idle::idle;
use crate::lock::{BrokerLock, LockOutcome, SocketOwnership};
use crate::logging::log_to_stderr;
use crate::service::Service;
use crate::signals::Signals;
use crate::socket::Socket;
use crate::status::BusStatus;
use crate::stop::StopReason;

/// How long a broker stays without calls unless told otherwise: longer than the pauses of a
/// working day's mornings, shorter than access tokens live, so that little is lost.
pub const DEFAULT_IDLE_EXIT: Duration = Duration::from_secs(30 * 60);

/// How a broker runs.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs, reason = "built field by field")]
pub struct BrokerOptions {
    /// End after this long without calls; `None` stays for ever. Default
    /// [`DEFAULT_IDLE_EXIT`].
    pub idle_exit: Option<Duration>,
    /// The socket the service manager listens at, if it started this process. It stays when the
    /// broker ends. Default none: the broker makes the socket, and removes it.
    pub listener: Option<UnixListener>,
    /// What becomes of a broker that serves already. Default: it stays.
    pub incumbent: Incumbent,
}

/// What becomes of a broker that serves already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Incumbent {
    /// It serves on, and the new one ends at once.
    #[default]
    Stays,
    /// It is asked to end, which gives calls under way five seconds. Whoever is first then serves:
    /// the new one, or one that a program or the service manager started at the same moment.
    Replaced,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self { idle_exit: Some(DEFAULT_IDLE_EXIT), listener: None, incumbent: Incumbent::Stays }
    }
}

impl BrokerOptions {
    /// With what the service manager handed this process (sd_listen_fds(3)). Reads and removes
    /// environment variables, so it belongs before the first thread.
    #[must_use]
    pub fn with_handed_over(self) -> Self {
        let handed_over = ListenFd::from_env().take_unix_listener(0);
        Self { listener: handed_over.ok().flatten(), ..self }
    }
}

/// How a broker ended when nothing went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Exit {
    /// It served, until this.
    Served(StopReason),
    /// Another broker of this user serves already.
    AlreadyRunning,
}

/// Is the broker of this user until something ends it. One line, `ready SOCKET`, goes to standard
/// output when clients are served; nothing else ever does (invariant I10).
///
/// Hardens the whole process, so it belongs into a process of its own.
///
/// # Errors
/// `Internal` if the directories are not private or the store cannot be opened, `InvalidRequest` if
/// the configuration is wrong, `Unavailable(Key)` if the keyring with the store's key is locked,
/// `Transient` if another broker neither serves nor ends, `TimedOut` if one that is to be replaced
/// does not end.
pub fn run(options: BrokerOptions) -> Result<Exit> {
    harden()?;
    let environment = Environment::current();
    log_to_stderr(&environment);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_keep_alive(BLOCKING_THREADS_STAY)
        .enable_all()
        .build()
        .map_err(|error| Error::internal("start the broker's runtime").with_source(error))?;
    let exit = runtime.block_on(async {
        let mut signals = Signals::catch()?;
        serve(&environment, options, say_ready, signals.received()).await
    });
    // A name server that does not answer must not keep the process.
    runtime.shutdown_timeout(LEFT_OVERS);
    exit
}

/// As [`run`], as a part of this process: `ready` is called when clients are served, and `signal`
/// ends the broker.
///
/// # Errors
/// As [`run`].
pub async fn serve(
    environment: &Environment,
    options: BrokerOptions,
    ready: impl FnOnce(&Path),
    signal: impl Future<Output = ()>,
) -> Result<Exit> {
    let paths = Paths::current(environment)?;
    private_dir(&paths.runtime_dir)?;
    let seat =
        if options.listener.is_some() { SocketOwnership::Ours } else { SocketOwnership::Contested };
    let mut turn = BrokerLock::acquire(&paths, seat).await?;
    if matches!(turn, LockOutcome::Theirs) && options.incumbent == Incumbent::Replaced {
        end_incumbent(&paths.socket).await?;
        turn = BrokerLock::acquire(&paths, seat).await?;
    }
    let lock = match turn {
        LockOutcome::Ours(lock) => lock,
        LockOutcome::Theirs => {
            tracing::info!("another broker serves already");
            ready(&paths.socket);
            if environment.has("DBUS_STARTER_ADDRESS") {
                until_settled_on_bus(&paths.socket).await;
            }
            return Ok(Exit::AlreadyRunning);
        }
    };
    let service = Arc::new(Service::open(environment, paths).await?);
    let socket = match options.listener {
        Some(listener) => Socket::adopt(listener, &service.paths.socket, &lock)?,
        None => Socket::bind(&service.paths.socket, &lock)?,
    };
    ready(&service.paths.socket);
    tracing::info!("serving on {}", service.paths.socket.display());
    let accepting = tokio::spawn(Connections::serve(Arc::clone(&service), socket));
    let address = environment.session_bus_address();
    let bus = tokio::spawn(Arc::clone(&service).serve_session_bus(address));
    let reason = until_end(&service, options.idle_exit, signal).await;
    tracing::info!("ending: {}", reason.as_str());
    let failed = |error| Error::internal("end the broker").with_source(error);
    let clients = accepting.await.map_err(failed)?;
    service.wind_up().await;
    clients.join_all().await;
    bus.await.map_err(failed)?;
    // The next broker must find the store closed, which calls that were cut off may still have.
    let closing = tokio::spawn(async move {
        service.host.close().await;
        drop(lock);
    });
    if timeout(LAST_WRITE, closing).await.is_err() {
        tracing::warn!("the last write to the token store has not ended");
    }
    Ok(Exit::Served(reason))
}

/// One that goes away meanwhile is as good.
async fn end_incumbent(socket: &Path) -> Result<()> {
    let ending = async {
        let incumbent = BrokerControl::connect(socket, INCUMBENT_PATIENCE).await?;
        tracing::info!("asking the broker that serves to end");
        incumbent.stop(SignIns::CutOff, INCUMBENT_PATIENCE).await
    };
    match ending.await {
        Err(error) if *error.kind() != ErrorKind::Unavailable(Missing::Broker) => Err(error),
        _ => Ok(()),
    }
}

/// A bus that started this process fails the calls it holds back if the process ends before
/// anybody has the name. The broker that serves is about to take it.
async fn until_settled_on_bus(socket: &Path) {
    let connecting = async {
        let control = BrokerControl::connect(socket, STARTER_PATIENCE).await?;
        while control.status(STARTER_PATIENCE).await?.bus == BusStatus::Connecting {
            sleep(RECHECK).await;
        }
        Ok::<(), Error>(())
    };
    // Nothing can be done about a broker that does not answer; the bus says so to its callers.
    let _ = timeout(STARTER_PATIENCE, connecting).await;
}

/// Calls under way may take five seconds to end, and their replies one to leave.
const INCUMBENT_PATIENCE: Duration = Duration::from_secs(10);
const STARTER_PATIENCE: Duration = Duration::from_secs(5);
const RECHECK: Duration = Duration::from_millis(10);
const LEFT_OVERS: Duration = Duration::from_secs(1);
const LAST_WRITE: Duration = Duration::from_secs(2);
/// Enough for one person's programs; more threads would only cost memory.
const WORKERS: usize = 2;
/// What is done by a blocking thread, such as a write to the store, is done seldom; each that waits
/// for more holds its stack.
const BLOCKING_THREADS_STAY: Duration = Duration::from_secs(1);

async fn until_end(
    service: &Service,
    idle_exit: Option<Duration>,
    signal: impl Future<Output = ()>,
) -> StopReason {
    let idle = async {
        match idle_exit {
            Some(limit) => idle(&service.activity, || service.engine.in_flight(), limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signal => service.stop.now(StopReason::Signal),
        () = idle => service.stop.now(StopReason::Idle),
        _ = service.stop.wanted() => {}
    }
    service.stop.wanted().await
}

/// Says so to whoever started us, who then may stop listening.
fn say_ready(socket: &Path) {
    let mut line = std::ffi::OsString::from("ready ");
    line.push(socket);
    line.push("\n");
    // Nobody listens unless a service manager started us.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(line.as_encoded_bytes()).and_then(|()| stdout.flush());
    if let Ok(nothing) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nothing);
    }
}
