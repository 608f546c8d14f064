use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Error, MasterKey, Missing, Result};
use keybearer_engine::{KeyStore, Random};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{fresh, parse};
use crate::private_dir::private_dir;

const FILE: &str = "master.key.sealed";

/// What the operating system does to make bytes readable for this user only.
pub trait KeySealer: Send + Sync + fmt::Debug {
    /// Seals bytes for this user.
    ///
    /// # Errors
    /// `Unavailable(Key)` if the system refuses.
    fn seal(&self, plain: &[u8]) -> Result<Vec<u8>>;

    /// Opens what [`seal`](Self::seal) made.
    ///
    /// # Errors
    /// `Unavailable(Key)` if it was sealed for somebody else or is damaged.
    fn unseal(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>>;
}

/// The master key in `master.key.sealed` of a private directory (invariant I4).
///
/// A file that does not open again is an error and is not replaced: the store could not be read
/// with another key.
#[derive(Debug)]
pub struct SealedFileKeys {
    dir: PathBuf,
    sealer: Arc<dyn KeySealer>,
    random: Arc<dyn Random>,
    /// Two first uses must not make two keys.
    turn: Mutex<()>,
}

impl SealedFileKeys {
    /// The key of this state directory. Nothing is opened yet.
    #[must_use]
    pub fn new(state_dir: &Path, sealer: Arc<dyn KeySealer>, random: Arc<dyn Random>) -> Self {
        Self { dir: state_dir.to_owned(), sealer, random, turn: Mutex::default() }
    }

    /// Whether there is a key already.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.dir.join(FILE).is_file()
    }
}

#[async_trait]
impl KeyStore for SealedFileKeys {
    async fn master_key(&self) -> Result<MasterKey> {
        let _turn = self.turn.lock().await;
        let dir = private_dir(&self.dir)?;
        if let Some(sealed) = dir.read(FILE)? {
            let plain = self.sealer.unseal(&sealed);
            let key = plain.and_then(|plain| parse(&plain).ok_or_else(|| unreadable("odd size")));
            let shown = dir.path().display();
            return key
                .map_err(|error| error.with_hint(format!("move {shown} away and sign in again")));
        }
        let key = fresh(&*self.random);
        let sealed = self.sealer.seal(key.expose())?;
        // A key that does not open again would lose what is sealed with it.
        let again = parse(&self.sealer.unseal(&sealed)?);
        if again.is_none_or(|again| again.expose() != key.expose()) {
            return Err(unreadable("what was sealed does not open again"));
        }
        if dir.write_new(FILE, &sealed)? {
            return Ok(key);
        }
        Err(Error::transient(None, "keep the key: another process keeps one at the same time"))
    }
}

fn unreadable(why: &str) -> Error {
    Error::unavailable(Missing::Key, format!("open the sealed key of the token store: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    /// Turns every bit, and knows its own.
    #[derive(Debug)]
    struct FileLock(u8);

    impl KeySealer for FileLock {
        fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
            Ok([self.0].into_iter().chain(plain.iter().map(|byte| !byte)).collect())
        }

        fn unseal(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
            match sealed.split_first() {
                Some((user, rest)) if *user == self.0 => {
                    Ok(Zeroizing::new(rest.iter().map(|byte| !byte).collect()))
                }
                _ => Err(unreadable("somebody else's")),
            }
        }
    }

    fn keys(dir: &Path, user: u8) -> SealedFileKeys {
        SealedFileKeys::new(&dir.join("state"), Arc::new(FileLock(user)), Arc::new(SystemRandom))
    }

    #[tokio::test]
    async fn i4_the_key_is_on_disk_only_sealed_and_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!keys(dir.path(), 1).exists());
        let first = *keys(dir.path(), 1).master_key().await.unwrap().expose();
        assert_eq!(*keys(dir.path(), 1).master_key().await.unwrap().expose(), first);
        let file = std::fs::read(dir.path().join("state").join(FILE)).unwrap();
        assert!(!file.windows(8).any(|part| first.windows(8).any(|own| own == part)));
    }

    #[tokio::test]
    async fn a_key_that_does_not_open_is_an_error_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        keys(dir.path(), 1).master_key().await.unwrap();
        let file = dir.path().join("state").join(FILE);
        let before = std::fs::read(&file).unwrap();
        let error = keys(dir.path(), 2).master_key().await.unwrap_err();
        assert!(error.hint().unwrap().contains("move"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
        std::fs::write(&file, [1, 2, 3]).unwrap();
        assert!(keys(dir.path(), 1).master_key().await.is_err());
    }
}
