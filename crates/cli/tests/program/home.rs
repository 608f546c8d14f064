//! The real program in directories of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far more than anything takes; only a test that fails waits this long.
pub(crate) const PROGRAM_LIMIT: Duration = Duration::from_secs(30);

/// Signs in for Azure Resource Manager; the emulated provider's cloud has none of its own.
pub(crate) const LOGIN: [&str; 3] = ["login", "--scope", "https://management.azure.com/.default"];

/// A person's directories. Its broker is ended when this is dropped.
pub(crate) struct Home {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let home = Self { directory, variables: Vec::new() };
        std::fs::DirBuilder::new().mode(0o700).create(home.at("run")).unwrap();
        home
    }

    /// Adds an environment variable for every program.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.at("run/keybearer/broker.sock")
    }

    /// The program, with nothing of the tests' own environment.
    pub(crate) fn program<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keybearer"));
        command.args(arguments).env_clear().stdin(Stdio::null());
        command.env("HOME", self.directory.path()).env("XDG_RUNTIME_DIR", self.at("run"));
        command.env("PATH", "/usr/bin:/bin");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.program(arguments.split_whitespace()).output().unwrap()
    }

    /// A broker that serves.
    pub(crate) fn start_broker(&self, arguments: &str) -> Running {
        let arguments = format!("broker run {arguments}");
        let running = Running::start(&mut self.program(arguments.split_whitespace()));
        running.wait_until_ready();
        running
    }

    /// `broker status`, as JSON.
    pub(crate) fn status(&self) -> serde_json::Value {
        let output = self.run("broker status --output json");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.socket().exists() {
            let _ = self.run("broker stop");
        }
    }
}

/// A program that runs. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    /// Its standard output is read line by line; what it logs is kept for the end.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Its one line of output.
    pub(crate) fn wait_until_ready(&self) -> String {
        self.lines.recv_timeout(PROGRAM_LIMIT).unwrap()
    }

    /// Whether its output has ended, without another line.
    pub(crate) fn is_silent(&self) -> bool {
        let end = Err(std::sync::mpsc::RecvTimeoutError::Disconnected);
        self.lines.recv_timeout(PROGRAM_LIMIT) == end
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; what it wrote to standard error comes, too.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = eventually("the program ends", || self.child.try_wait().unwrap());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (status, log)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PROGRAM_LIMIT, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Standard error as text.
pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}
