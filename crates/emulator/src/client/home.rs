//! A person's directories, and the programs that run in them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::error::LaboratoryError;
use super::program::Running;

/// How long a broker may take to stop when asked.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A person's private directories, and the environment of programs there. Nothing of the tests' own
/// environment reaches these programs.
///
/// A broker that serves there is stopped when this is dropped, also one that a program started, if
/// the program `keybearer` is known.
#[derive(Debug)]
pub struct Home {
    directory: TempDir,
    variables: BTreeMap<String, OsString>,
    keybearer: Option<PathBuf>,
}

impl Home {
    /// New directories: the home itself and `run`, the runtime directory.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn new() -> Result<Self, LaboratoryError> {
        Self::new_in(&std::env::temp_dir())
    }

    /// New directories below this one, whose disk is then the home's.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn new_in(parent: &Path) -> Result<Self, LaboratoryError> {
        let directory = tempfile::Builder::new().prefix("keybearer-home-").tempdir_in(parent);
        let directory = directory.map_err(LaboratoryError::file(parent))?;
        let mut home = Self { directory, variables: BTreeMap::new(), keybearer: None };
        let run = home.make_private("run")?;
        home.set("HOME", home.directory.path().to_owned());
        home.set("XDG_RUNTIME_DIR", run);
        home.set("PATH", "/usr/bin:/bin");
        Ok(home)
    }

    /// Names the program `keybearer`, for [`keybearer`](Self::keybearer) and for stopping a broker.
    #[must_use]
    pub fn with_keybearer(mut self, program: impl Into<PathBuf>) -> Self {
        self.keybearer = Some(program.into());
        self
    }

    /// Adds an environment variable for every program.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets an environment variable for every program started from now on.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// The environment of its programs.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_os_str()))
    }

    /// A path below the home directory.
    #[must_use]
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a directory below the home directory that only its owner may enter.
    ///
    /// # Errors
    /// If there is one, or it cannot be made.
    pub fn make_private(&self, name: &str) -> Result<PathBuf, LaboratoryError> {
        let path = self.at(name);
        #[cfg_attr(not(unix), expect(unused_mut, reason = "the mode is Unix'"))]
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(LaboratoryError::file(&path))?;
        Ok(path)
    }

    /// Where a broker serves.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.at("run/keybearer/broker.sock")
    }

    /// Any program, in this environment and without input.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.variables()).stdin(Stdio::null());
        command
    }

    /// The program `keybearer` with these arguments.
    ///
    /// # Panics
    /// If no program was named.
    #[expect(clippy::expect_used, reason = "a test that names no program cannot run one")]
    pub fn keybearer<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let program = self.keybearer.as_ref().expect("the home has a program `keybearer`");
        let mut command = self.command(program);
        command.args(arguments);
        command
    }

    /// Runs `keybearer` with these arguments, separated by spaces, to its end.
    ///
    /// # Panics
    /// If it does not start.
    #[expect(clippy::unwrap_used, reason = "a test that cannot continue fails at once")]
    pub fn run(&self, arguments: &str) -> Output {
        self.keybearer(arguments.split_whitespace()).output().unwrap()
    }

    /// Starts `keybearer broker run` with these further arguments, and waits until it serves.
    ///
    /// # Panics
    /// If it does not.
    pub fn start_broker(&self, arguments: &str) -> Running {
        let arguments = format!("broker run {arguments}");
        let running = Running::start(&mut self.keybearer(arguments.split_whitespace()));
        running.line();
        running
    }

    /// Asks the broker that serves here to stop, and kills it if it does not in time. Returns
    /// whether there was one. Without a program `keybearer` nothing is stopped.
    pub fn stop_broker(&self) -> bool {
        let Some(program) = self.keybearer.as_ref().filter(|_| self.socket().exists()) else {
            return false;
        };
        let mut stop = self.command(program);
        stop.args(["broker", "stop"]).stdout(Stdio::null()).stderr(Stdio::null());
        if !stop.spawn().is_ok_and(succeeds_in_time) {
            kill_server_of(&self.socket());
        }
        true
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.stop_broker();
    }
}

fn succeeds_in_time(mut program: Child) -> bool {
    let start = Instant::now();
    while start.elapsed() < STOP_LIMIT {
        match program.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => break,
        }
    }
    // It may have ended meanwhile; either way it is gone.
    let _ = program.kill();
    let _ = program.wait();
    false
}

/// Kills the process that serves a socket, except this one.
#[cfg(target_os = "linux")]
fn kill_server_of(socket: &Path) {
    use rustix::process::{Signal, getpid, kill_process};
    let Ok(stream) = std::os::unix::net::UnixStream::connect(socket) else { return };
    let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream) else { return };
    if peer.pid != getpid() {
        // It may have ended meanwhile; either way it is gone.
        let _ = kill_process(peer.pid, Signal::KILL);
    }
}

/// There is no portable way to learn who serves a socket.
#[cfg(not(target_os = "linux"))]
fn kill_server_of(_: &Path) {}
