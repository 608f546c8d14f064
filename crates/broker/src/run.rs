use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{Error, Result};
use keybearer_host::{Environment, Paths, private_dir};

use crate::bus::session_bus_address;
use crate::connections::Connections;
use crate::hardening::harden;
use crate::idle::idle;
use crate::lock::{BrokerLock, Turn};
use crate::logging::log_to_stderr;
use crate::service::Service;
use crate::signals::Signals;
use crate::socket::Socket;
use crate::stop::StopReason;

/// How long a broker stays without calls unless told otherwise: longer than the pauses of a
/// working day's mornings, shorter than access tokens live, so that little is lost.
pub const DEFAULT_IDLE_EXIT: Duration = Duration::from_secs(30 * 60);

/// How a broker runs.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built field by field")]
pub struct BrokerOptions {
    /// End after this long without calls; `None` stays for ever. Default
    /// [`DEFAULT_IDLE_EXIT`].
    pub idle_exit: Option<Duration>,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self { idle_exit: Some(DEFAULT_IDLE_EXIT) }
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
/// `Transient` if another broker neither serves nor ends.
pub fn run(options: BrokerOptions) -> Result<Exit> {
    harden()?;
    let environment = Environment::current();
    log_to_stderr(&environment);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
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
    let lock = match BrokerLock::acquire(&paths).await? {
        Turn::Ours(lock) => lock,
        Turn::Theirs => {
            tracing::info!("another broker serves already");
            ready(&paths.socket);
            return Ok(Exit::AlreadyRunning);
        }
    };
    let service = Arc::new(Service::open(environment, paths).await?);
    let socket = Socket::bind(&service.paths.socket, &lock)?;
    ready(&service.paths.socket);
    tracing::info!("serving on {}", service.paths.socket.display());
    let accepting = tokio::spawn(Connections::serve(Arc::clone(&service), socket));
    let address = session_bus_address(environment);
    let bus = tokio::spawn(Arc::clone(&service).serve_session_bus(address));
    let reason = until_end(&service, options, signal).await;
    tracing::info!("ending: {}", reason.as_str());
    let failed = |error| Error::internal("end the broker").with_source(error);
    let clients = accepting.await.map_err(failed)?;
    service.wind_up().await;
    clients.join_all().await;
    bus.await.map_err(failed)?;
    // The next broker must find the store closed.
    drop(service);
    drop(lock);
    Ok(Exit::Served(reason))
}

const LEFT_OVERS: Duration = Duration::from_secs(1);
/// Enough for one person's programs; more threads would only cost memory.
const WORKERS: usize = 2;

async fn until_end(
    service: &Service,
    options: BrokerOptions,
    signal: impl Future<Output = ()>,
) -> StopReason {
    let idle = async {
        match options.idle_exit {
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
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(line.as_encoded_bytes()).and_then(|()| stdout.flush());
    if let Ok(nothing) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nothing);
    }
}
