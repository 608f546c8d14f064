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

use crate::control::{BrokerControl, SignIns};
use crate::doors;
use crate::hardening::harden;
use crate::idle::idle;
use crate::lock::{BrokerLock, LockOutcome, SocketOwnership};
use crate::logging::log_to_stderr;
use crate::service::{OpenEngine, Service};
use crate::signals::Signals;
use crate::status::BusStatus;
use crate::stop::StopReason;

/// How long a broker keeps running without calls by default: longer than most pauses of a working
/// day, shorter than the lifetime of an access token, so that few cached tokens are lost.
pub const DEFAULT_IDLE_EXIT: Duration = Duration::from_secs(30 * 60);

/// How a broker runs.
#[derive(Debug)]
pub struct BrokerOptions {
    /// Stop after this long without calls; `None` for never. Default: [`DEFAULT_IDLE_EXIT`].
    pub idle_exit: Option<Duration>,
    /// The socket on which the service manager listens, if it started this process. The socket stays
    /// when the broker stops. Default: none; the broker makes the socket, and removes it.
    pub listener: Option<UnixListener>,
    /// What happens to a broker that is already running. Default: it stays.
    pub incumbent: Incumbent,
}

/// What happens to a broker that is already running.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Incumbent {
    /// It keeps serving, and the new broker exits at once.
    #[default]
    Stays,
    /// It is asked to stop, which gives calls under way five seconds. Then the first broker to take
    /// the lock serves: this one, or one that a program or the service manager started meanwhile.
    Replaced,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self { idle_exit: Some(DEFAULT_IDLE_EXIT), listener: None, incumbent: Incumbent::Stays }
    }
}

impl BrokerOptions {
    /// Takes the listener that the service manager passed (sd_listen_fds(3)). Reads and removes
    /// environment variables, so call this before the first thread starts.
    #[must_use]
    pub fn with_passed_listener(self) -> Self {
        let listener = ListenFd::from_env().take_unix_listener(0);
        Self { listener: listener.ok().flatten(), ..self }
    }
}

/// How a broker ended without an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It served until this happened.
    Served(StopReason),
    /// Another broker of this user is already running.
    AlreadyRunning,
}

/// Runs the broker of this user until it is stopped or idle. Writes one line to standard output,
/// `ready SOCKET`, when it accepts clients, and nothing else (invariant I10).
///
/// Hardens the whole process, so run it in a process of its own.
///
/// # Errors
/// `Internal` if the directories are not private or the store cannot be opened, `InvalidRequest` if
/// the configuration is wrong, `Unavailable(Key)` if the keyring with the store's key is locked,
/// `Transient` if another broker holds the lock but does not answer, `TimedOut` if the broker to be
/// replaced does not stop.
pub fn run(options: BrokerOptions) -> Result<Exit> {
    harden()?;
    let environment = Environment::current();
    log_to_stderr(&environment);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_keep_alive(BLOCKING_THREAD_KEEP_ALIVE)
        .enable_all()
        .build()
        .map_err(|error| {
            Error::internal("could not start the broker's threads")
                .with_source(error)
                .with_hint("raise the limit of processes (ulimit -u)")
        })?;
    let exit = runtime.block_on(async {
        let mut signals = Signals::catch()?;
        serve(&environment, options, announce_ready, signals.received()).await
    });
    // A blocking thread, such as a DNS lookup without an answer, must not keep the process running.
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_LIMIT);
    exit
}

/// Runs the broker inside this process: `ready` is called when clients are accepted, and the broker
/// stops when `signal` completes.
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
    let Some(lock) = acquire_lock(&paths, &options).await? else {
        tracing::info!("another broker is already running");
        ready(&paths.socket);
        if environment.has("DBUS_STARTER_ADDRESS") {
            wait_until_named_on_bus(&paths.socket).await;
        }
        return Ok(Exit::AlreadyRunning);
    };
    let engine = OpenEngine::open(environment, &paths).await?;
    let doors = doors::all(environment, &paths, options.listener, &lock)?;
    let service = Arc::new(Service::new(engine, paths, doors));
    ready(&service.paths.socket);
    let accepting = service.open_doors();
    let reason = until_end(&service, options.idle_exit, signal).await;
    tracing::info!("stopping: {}", reason.as_str());
    service.drain(accepting).await;
    // The next broker must find the store closed; calls that were cut off may still use it.
    let closing = tokio::spawn(async move {
        service.host.close().await;
        drop(lock);
    });
    if timeout(STORE_CLOSE_LIMIT, closing).await.is_err() {
        tracing::warn!("the last write to the token store has not ended");
    }
    Ok(Exit::Served(reason))
}

/// The lock; `None` if another broker serves and stays.
async fn acquire_lock(paths: &Paths, options: &BrokerOptions) -> Result<Option<BrokerLock>> {
    let ownership = match options.listener {
        Some(_) => SocketOwnership::Inherited,
        None => SocketOwnership::Contested,
    };
    let mut outcome = BrokerLock::acquire(paths, ownership).await?;
    if matches!(outcome, LockOutcome::HeldByOther) && options.incumbent == Incumbent::Replaced {
        stop_incumbent(&paths.socket).await?;
        outcome = BrokerLock::acquire(paths, ownership).await?;
    }
    Ok(match outcome {
        LockOutcome::Acquired(lock) => Some(lock),
        LockOutcome::HeldByOther => None,
    })
}

/// Stops the running broker. It is no error if that broker disappears meanwhile.
async fn stop_incumbent(socket: &Path) -> Result<()> {
    let stopping = async {
        let incumbent = BrokerControl::connect(socket, INCUMBENT_STOP_LIMIT).await?;
        tracing::info!("asking the running broker to stop");
        incumbent.stop(SignIns::CutOff, INCUMBENT_STOP_LIMIT).await
    };
    match stopping.await {
        Err(error) if *error.kind() != ErrorKind::Unavailable(Missing::Broker) => Err(error),
        _ => Ok(()),
    }
}

/// Waits until the running broker has the name on the session bus, or cannot get it. A bus that
/// started this process holds back calls and fails them if the process ends before the name is
/// taken.
async fn wait_until_named_on_bus(socket: &Path) {
    let connecting = async {
        let control = BrokerControl::connect(socket, BUS_NAME_LIMIT).await?;
        while control.status(BUS_NAME_LIMIT).await?.bus == BusStatus::Connecting {
            sleep(POLL_INTERVAL).await;
        }
        Ok::<(), Error>(())
    };
    // If the running broker does not answer, the bus returns an error to the callers.
    let _ = timeout(BUS_NAME_LIMIT, connecting).await;
}

/// The running broker gives calls five seconds, and their replies one.
const INCUMBENT_STOP_LIMIT: Duration = Duration::from_secs(10);
const BUS_NAME_LIMIT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const RUNTIME_SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);
const STORE_CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Enough for one person's programs; more threads would only cost memory.
const WORKERS: usize = 2;
/// Blocking work, such as a write to the store, is rare, and each idle thread holds a stack.
const BLOCKING_THREAD_KEEP_ALIVE: Duration = Duration::from_secs(1);

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

/// Writes the ready line to standard output, and closes it: the program that started this process
/// may stop reading now.
fn announce_ready(socket: &Path) {
    let mut line = std::ffi::OsString::from("ready ");
    line.push(socket);
    line.push("\n");
    // Without a service manager this does nothing.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(line.as_encoded_bytes()).and_then(|()| stdout.flush());
    if let Ok(nothing) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nothing);
    }
}
