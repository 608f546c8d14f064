//! Programs that run beside a test.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue fails at once")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Far more than any program takes; only a test that fails waits this long.
const PROGRAM_LIMIT: Duration = Duration::from_secs(30);

/// A program that runs. It is killed when this is dropped.
///
/// Its methods panic where a test cannot continue.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts a program. Its standard output is read line by line; its log is kept for the end.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("could not start {}: {error}", command.get_program().display())
        });
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for the next line of standard output.
    ///
    /// # Panics
    /// If there is none.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PROGRAM_LIMIT).unwrap()
    }

    /// Waits for the end of standard output, and returns whether no other line came before it.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.lines.recv_timeout(PROGRAM_LIMIT) == Err(RecvTimeoutError::Disconnected)
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If it has ended.
    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end. Returns how the program ended, and what it wrote to standard error.
    ///
    /// # Panics
    /// If it does not end.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = eventually("the program ends", || self.child.try_wait().unwrap());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (status, log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls `poll` again and again until it returns something.
///
/// # Panics
/// If it does not within 30 seconds.
pub fn eventually<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(start.elapsed() < PROGRAM_LIMIT, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
