//! One emulated machine for a test.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::browser::Browser;
use super::error::LaboratoryError;
use super::home::Home;
use super::http::Client;
use super::person::Person;
use crate::ready::{Ready, ReadyUser};

/// How long the emulator's program may take to get ready.
const START_LIMIT: Duration = Duration::from_secs(20);

/// An emulator, and what a test needs around it: an HTTP client that trusts it, people with
/// browsers, and homes whose programs sign in there. The emulator ends when this is dropped.
#[derive(Debug)]
pub struct Laboratory {
    ready: Ready,
    client: Client,
    _emulator: RunningEmulator,
}

/// Held for its end.
#[derive(Debug)]
#[expect(dead_code, reason = "what is inside ends when it is dropped")]
enum RunningEmulator {
    #[cfg(feature = "server")]
    InProcess(crate::Emulator),
    Program(Killed, TempDir),
}

impl Laboratory {
    /// Starts an emulator in this process, with its built-in fixture.
    ///
    /// # Errors
    /// If it does not start.
    #[cfg(feature = "server")]
    pub fn start() -> Result<Self, LaboratoryError> {
        Self::with(crate::EmulatorOptions::default())
    }

    /// Starts an emulator in this process.
    ///
    /// # Errors
    /// If it does not start.
    #[cfg(feature = "server")]
    pub fn with(options: crate::EmulatorOptions) -> Result<Self, LaboratoryError> {
        let emulator = crate::Emulator::start(options)?;
        let ready = emulator.ready().clone();
        Self::around(ready, RunningEmulator::InProcess(emulator))
    }

    /// Starts an emulator in this process that signs this user in at once, without pages.
    ///
    /// # Errors
    /// If it does not start, or there is no such user.
    #[cfg(feature = "server")]
    pub fn signing_in(upn: &str) -> Result<Self, LaboratoryError> {
        let auto_sign_in = Some(upn.to_owned());
        Self::with(crate::EmulatorOptions { auto_sign_in, ..crate::EmulatorOptions::default() })
    }

    /// Starts the emulator's program, and blocks until it is ready.
    ///
    /// # Errors
    /// If it does not get ready in time.
    pub fn start_program(program: &Path) -> Result<Self, LaboratoryError> {
        let directory = tempfile::tempdir();
        let directory = directory.map_err(LaboratoryError::file(std::env::temp_dir()))?;
        let failed = |reason: String| LaboratoryError::Program { program: program.into(), reason };
        let mut command = Command::new(program);
        command.args(["serve", "--exit-with-parent", "--dir"]).arg(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let mut child = Killed(child);
        let start = Instant::now();
        let ready = loop {
            if let Some(ready) = Ready::read(directory.path()) {
                break ready;
            }
            if let Ok(Some(status)) = child.0.try_wait() {
                return Err(failed(format!("it ended with {status}")));
            }
            if start.elapsed() > START_LIMIT {
                return Err(failed(format!("it was not ready after {START_LIMIT:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Self::around(ready, RunningEmulator::Program(child, directory))
    }

    fn around(ready: Ready, emulator: RunningEmulator) -> Result<Self, LaboratoryError> {
        Ok(Self { client: Client::new(&ready)?, ready, _emulator: emulator })
    }

    /// What the emulator reports about itself.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// An HTTP client that trusts the emulator.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A user whose sign-in name begins like this.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that names no user cannot continue")]
    pub fn user(&self, name: &str) -> &ReadyUser {
        let mut users = self.ready.users.iter();
        users.find(|user| user.upn.starts_with(name)).expect("a user of the fixture")
    }

    /// That user with a new browser, which trusts the emulator.
    ///
    /// # Errors
    /// If the emulator's certificate cannot be read.
    pub fn person(&self, name: &str) -> Result<Person, LaboratoryError> {
        let user = self.user(name);
        let browser = Browser::trusting(&self.ready)?;
        Ok(Person::at(browser).named(&user.upn).knowing(&user.password))
    }

    /// New directories of a person whose programs trust the emulator.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn home(&self) -> Result<Home, LaboratoryError> {
        let mut home = Home::new()?;
        for (name, value) in self.ready.variables() {
            home.set(name, value);
        }
        Ok(home)
    }

    /// An address at the authority.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.ready.authority_host)
    }
}

/// A process that ends with the value.
#[derive(Debug)]
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
