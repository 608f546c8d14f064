//! The leak check (invariant I5): every secret of a test is noted, and afterwards all output of the
//! test is searched for them.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::effects::lock;

/// Shorter texts are not secret and would occur by chance.
const SHORTEST: usize = 8;

/// Every secret that has occurred. Clones share the list.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<BTreeSet<(String, &'static str)>>>);

impl Secrets {
    /// Notes a secret; `what` names it in the report.
    pub fn note(&self, what: &'static str, secret: &str) {
        if secret.len() >= SHORTEST {
            lock(&self.0).insert((secret.to_owned(), what));
        }
    }

    /// Whether a secret of this kind has occurred.
    #[must_use]
    pub fn has(&self, what: &str) -> bool {
        lock(&self.0).iter().any(|(_, own)| *own == what)
    }

    /// The kinds of secrets that `shown` contains; as they are, percent-encoded, or the signature
    /// of a signed token alone.
    #[must_use]
    pub fn found_in(&self, shown: &[u8]) -> BTreeSet<&'static str> {
        // Indexed by their first bytes, because there may be thousands of secrets and megabytes of log.
        let mut by_start: HashMap<[u8; SHORTEST], Vec<(Vec<u8>, &'static str)>> = HashMap::new();
        for (secret, what) in &*lock(&self.0) {
            for spelling in spellings(secret) {
                if let Some(start) = spelling.first_chunk() {
                    by_start.entry(*start).or_default().push((spelling, what));
                }
            }
        }
        let mut found = BTreeSet::new();
        for position in 0..shown.len() {
            let rest = &shown[position..];
            let candidates = rest.first_chunk().and_then(|start| by_start.get(start));
            let hits = candidates.into_iter().flatten().filter(|(s, _)| rest.starts_with(s));
            found.extend(hits.map(|(_, what)| what));
        }
        found
    }

    /// Fails the test if `shown` contains a secret.
    ///
    /// # Panics
    /// If it does. The message names only the kind of secret.
    pub fn assert_none_in(&self, place: &str, shown: &[u8]) {
        let found = self.found_in(shown);
        assert!(found.is_empty(), "{place} shows secrets: {found:?} (invariant I5)");
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", lock(&self.0).len())
    }
}

fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let signature = secret.rsplit_once('.').map(|(_, signature)| signature.as_bytes().to_owned());
    [Some(secret.as_bytes().to_owned()), Some(encoded.into_bytes()), signature]
        .into_iter()
        .flatten()
        .collect()
}

/// Captures this thread's log at the level TRACE until it is dropped.
pub struct CapturedLog {
    lines: Lines,
    _guard: DefaultGuard,
}

impl CapturedLog {
    /// Starts to capture.
    #[must_use]
    pub fn start() -> Self {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(lines.clone())
            .finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The log so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.lines.0)).into_owned()
    }
}

impl fmt::Debug for CapturedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturedLog").finish_non_exhaustive()
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leak_check_finds_a_canary_in_the_log_at_trace_inv_i5() {
        let secrets = Secrets::default();
        secrets.note("canary", "rt.canary/0123456789");
        let log = CapturedLog::start();
        tracing::trace!("nothing to see");
        assert!(secrets.found_in(log.text().as_bytes()).is_empty());
        tracing::trace!(token = "rt.canary/0123456789", "oops");
        assert_eq!(
            secrets.found_in(log.text().as_bytes()).into_iter().collect::<Vec<_>>(),
            ["canary"]
        );
    }

    #[test]
    fn the_leak_check_finds_encoded_secrets_and_signatures_inv_i5() {
        let secrets = Secrets::default();
        secrets.note("id token", "header.payload.signature-of-it");
        secrets.note("code", "a/b+c/0123456789");
        assert_eq!(secrets.found_in(b"x signature-of-it y").len(), 1);
        assert_eq!(secrets.found_in(b"?code=a%2Fb%2Bc%2F0123456789&").len(), 1);
        assert!(secrets.found_in(b"header").is_empty());
    }
}
