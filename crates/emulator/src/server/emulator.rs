//! A running emulator as a value.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::ready::{Ready, ReadyApp, ReadyPorts, ReadyUser};
use crate::server::error::Error;
use crate::server::fixture::Fixture;
use crate::server::host_names::HostNames;
use crate::server::listener::{Listener, authority_router, blob_router};
use crate::server::state::EmulatorState;
use crate::server::tls::Certificates;

/// Options of [`Emulator::start`]. The default is an emulator with the built-in fixture.
#[derive(Clone, Debug, Default)]
pub struct EmulatorOptions {
    /// The port of the authority. 0, the default, means any free port. The blob endpoint always gets
    /// any free port.
    pub port: u16,
    /// The directory for certificates and `ready.json`. Absent: a new directory, which the emulator
    /// removes when it stops.
    pub dir: Option<PathBuf>,
    /// TOML text that is laid over the built-in fixture.
    pub fixture: Option<String>,
    /// The user who is signed in at once, without pages, also if the app hints at another account.
    pub auto_sign_in: Option<String>,
    /// The names of the endpoints.
    pub host_names: HostNames,
}

/// A running emulator. It stops when dropped.
///
/// It has its own thread, so that it works with and without an async runtime.
pub struct Emulator {
    ready: Ready,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Kept, because dropping it removes the directory.
    _temporary: Option<tempfile::TempDir>,
}

impl Emulator {
    /// Starts serving on loopback, and writes `ca.pem`, `server.pem`, `server.key` and then `ready.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Fixture`] and [`Error::UnknownUser`] if the options are wrong, the other errors if the
    /// system refuses.
    pub fn start(options: EmulatorOptions) -> Result<Self, Error> {
        let fixture = Fixture::load(options.fixture.as_deref())?;
        let certificates = Certificates::generate(options.host_names)?;
        let (dir, temporary) = directory(options.dir.as_deref())?;
        write_certificates(&dir, &certificates)?;

        let (started, outcome) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime.map_err(Error::Runtime) {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            runtime.block_on(async move {
                // Sending fails only if `start` has panicked.
                let _ = started.send(run(fixture, options, &certificates).await);
                let _ = stopped.await;
            });
        };
        let thread = std::thread::Builder::new().name("emulator".into()).spawn(serve);
        let thread = thread.map_err(Error::Runtime)?;
        let state = outcome.recv().map_err(|error| Error::Runtime(io::Error::other(error)))??;
        let ready = ready(&state, dir.join("ca.pem"));
        let emulator =
            Self { ready, stop: Some(stop), thread: Some(thread), _temporary: temporary };
        write_ready(&dir, &emulator.ready)?;
        Ok(emulator)
    }

    /// Its addresses, its users and apps, and the certificate to trust.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Stops serving and closes all connections. Dropping does the same.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Both fail only if the thread has ended already.
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Emulator")
            .field("authority_host", &self.ready.authority_host)
            .finish_non_exhaustive()
    }
}

/// Binds both ports and serves on them in the background.
async fn run(
    fixture: Fixture,
    options: EmulatorOptions,
    certificates: &Certificates,
) -> Result<Arc<EmulatorState>, Error> {
    let (authority, blob) = (Listener::bind(options.port).await?, Listener::bind(0).await?);
    let ports = ReadyPorts { authority: authority.port, blob: blob.port };
    let mut state = EmulatorState::new(fixture, options.host_names, ports)?;
    if let Some(upn) = options.auto_sign_in {
        let user = state.directory.user(&upn).ok_or(Error::UnknownUser(upn))?;
        state.auto_sign_in = Some(user.upn.clone());
    }
    let (state, tls) = (Arc::new(state), certificates.server_config()?);
    authority.serve(&authority_router(Arc::clone(&state)), &tls);
    blob.serve(&blob_router(Arc::clone(&state)), &tls);
    Ok(state)
}

fn ready(state: &EmulatorState, ca: PathBuf) -> Ready {
    let directory = &state.directory;
    let tenant = directory.tenants.first().map(|tenant| tenant.id.clone()).unwrap_or_default();
    let users = directory.users.iter().filter_map(|user| {
        let oid = user.oid_in(&tenant)?.to_owned();
        Some(ReadyUser { upn: user.upn.clone(), password: user.password.clone(), oid })
    });
    let apps = directory.apps.iter().map(|app| ReadyApp {
        client_id: app.client_id.clone(),
        name: app.name.clone(),
        redirect_uris: app.redirect_uris.clone(),
    });
    Ready {
        authority_host: state.authority_host.clone(),
        users: users.collect(),
        apps: apps.collect(),
        tenant,
        blob_endpoint: state.blob_endpoint.clone(),
        ports: state.ports,
        ca,
        pid: std::process::id(),
    }
}

/// The requested directory, or a new one that is removed with the emulator. Either is private.
fn directory(asked: Option<&Path>) -> Result<(PathBuf, Option<tempfile::TempDir>), Error> {
    let Some(path) = asked else {
        let temporary = tempfile::Builder::new().prefix("keybearer-emulator-").tempdir();
        let temporary =
            temporary.map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed)?;
    Ok((std::path::absolute(path).map_err(failed)?, None))
}

fn write_certificates(dir: &Path, certificates: &Certificates) -> Result<(), Error> {
    write_private(&dir.join("ca.pem"), &certificates.ca_pem)?;
    write_private(&dir.join("server.pem"), &certificates.server_pem)?;
    write_private(&dir.join("server.key"), &certificates.server_key_pem)
}

/// Writes `ready.json` atomically.
fn write_ready(dir: &Path, ready: &Ready) -> Result<(), Error> {
    let (partial, path) = (dir.join("ready.json.partial"), dir.join("ready.json"));
    let failed = |source| Error::Write { path: path.clone(), source };
    let text = serde_json::to_string(ready).map_err(|error| failed(error.into()))?;
    write_private(&partial, &text)?;
    fs::rename(&partial, &path).map_err(failed)
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| Error::Write { path: path.to_owned(), source })
}
