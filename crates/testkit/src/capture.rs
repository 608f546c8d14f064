//! Finds secrets in the log and in other output (invariant I5).

use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

/// The log of this process, of every crate, at TRACE level. There is one for the process, so that it
/// contains the lines of every thread. Tests that run in parallel use different secrets.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Starts capturing, if that has not happened yet.
    ///
    /// # Panics
    /// If another subscriber has been installed for the process.
    #[expect(clippy::expect_used, reason = "a test without its log proves nothing")]
    fn of_process() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(Level::TRACE)
                .with_ansi(false)
                .with_writer(log.clone())
                .finish();
            tracing::subscriber::set_global_default(subscriber)
                .expect("the leak check must be the first to install a subscriber");
            log
        })
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Searches the log, and other output that a test adds, for secrets.
///
/// ```
/// # use keybearer_testkit::capture::LeakCheck;
/// let mut check = LeakCheck::start();
/// check.secret("refresh token", "0.marker-of-this-test");
/// tracing::trace!("redeem the refresh token");
/// check.shown("an error", "the refresh token was refused");
/// check.assert_clean();
/// ```
#[derive(Debug)]
#[must_use = "only `assert_clean` checks"]
pub struct LeakCheck {
    log: &'static Log,
    secrets: Vec<(String, String)>,
    shown: Vec<(String, String)>,
}

impl LeakCheck {
    /// Starts capturing the log.
    pub fn start() -> Self {
        Self { log: Log::of_process(), secrets: Vec::new(), shown: Vec::new() }
    }

    /// Registers a secret: text that occurs nowhere else, of at least eight characters.
    ///
    /// # Panics
    /// If it is shorter, because then it may occur by chance.
    pub fn secret(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 8, "{what} is too short to search for");
        self.secrets.push((what.to_owned(), secret.to_owned()));
    }

    /// Adds a text that a person or a program may see.
    pub fn shown(&mut self, place: &str, text: impl Into<String>) {
        self.shown.push((place.to_owned(), text.into()));
    }

    /// Adds what `Debug` prints, in both forms.
    pub fn debugged(&mut self, place: &str, value: &dyn Debug) {
        self.shown(place, format!("{value:?}\n{value:#?}"));
    }

    /// The log so far, to check that the test has logged something.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Fails if a secret occurs in the log or in what was shown. Also finds it percent-encoded
    /// and escaped as in JSON, as far as that changes it.
    ///
    /// # Panics
    /// If one does. The message names the kind of secret and where it was found, without quoting it.
    pub fn assert_clean(&self) {
        let log = ("the log".to_owned(), self.log.text());
        for (place, text) in self.shown.iter().chain([&log]) {
            for (what, secret) in &self.secrets {
                let found = spellings(secret).iter().any(|spelling| text.contains(spelling));
                assert!(!found, "{what} is in {place}");
            }
        }
    }
}

/// A secret in its possible spellings.
fn spellings(secret: &str) -> [String; 3] {
    let percent_encoded = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let debugged = format!("{secret:?}").trim_matches('"').to_owned();
    [secret.to_owned(), percent_encoded, debugged]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_log_is_found() {
        let mut check = LeakCheck::start();
        check.secret("token", "logged-secret-1");
        check.assert_clean();
        tracing::trace!(value = "logged-secret-1", "oops");
        assert!(std::panic::catch_unwind(|| check.assert_clean()).is_err());
    }

    #[test]
    fn a_secret_in_debug_output_or_a_url_is_found() {
        let mut check = LeakCheck::start();
        check.secret("token", "debugged/secret=2");
        check.shown("a URL", "https://host/?token=debugged%2Fsecret%3D2");
        assert!(std::panic::catch_unwind(|| check.assert_clean()).is_err());
    }
}
