use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Error, MasterKey, Missing, Result};
use keybearer_engine::{KeyStore, Random};
use tokio::sync::Mutex;

use super::{FileKeys, KeyProtection, fresh};
use crate::private_dir::{PrivateDir, private_dir};
use crate::random::random_hex;

/// Says where this store's key was put, once and for all.
const LOCATION: &str = "key-location";

/// A keyring as [`MasterKeys`] uses it. Every method ends within a second and never makes anybody
/// prompt.
#[async_trait]
pub trait KeyringAccess: Send + Sync + fmt::Debug {
    /// The key kept under this id, or `None` if the keyring has none.
    ///
    /// # Errors
    /// `Unavailable(Key)` if no keyring answers or it is locked, with what to do as hint.
    async fn find(&self, id: &str) -> Result<Option<MasterKey>>;

    /// Keeps a key under this id.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    async fn keep(&self, id: &str, key: &MasterKey) -> Result<()>;
}

/// The master key in the best place this machine has: the keyring if it is there and unlocked, else
/// a file.
///
/// Once there is a key, its place stays: a keyring that appears later does not orphan the store,
/// and one that is locked today is waited for, not replaced, because a new key could not open what
/// the old one sealed.
#[derive(Debug)]
pub struct MasterKeys {
    dir: PathBuf,
    file: FileKeys,
    keyring: Option<Arc<dyn KeyringAccess>>,
    random: Arc<dyn Random>,
    /// Two first uses must not make two keys.
    turn: Mutex<()>,
}

/// The content of [`LOCATION`].
#[derive(Clone, PartialEq, Eq, Debug)]
enum Location {
    File,
    Keyring { id: String },
}

impl MasterKeys {
    /// The key of this state directory; without `keyring` it is kept in a file.
    #[must_use]
    pub fn new(
        state_dir: &Path,
        keyring: Option<Arc<dyn KeyringAccess>>,
        random: Arc<dyn Random>,
    ) -> Self {
        let file = FileKeys::new(state_dir, Arc::clone(&random));
        Self { dir: state_dir.to_owned(), file, keyring, random, turn: Mutex::default() }
    }

    /// What keeps the key, or `None` as long as there is none.
    ///
    /// # Errors
    /// As [`private_dir`].
    pub fn protection(&self) -> Result<Option<KeyProtection>> {
        if self.dir.symlink_metadata().is_err() {
            return Ok(None);
        }
        let dir = private_dir(&self.dir)?;
        Ok(self.location(&dir)?.map(|location| match location {
            Location::File => KeyProtection::File,
            Location::Keyring { .. } => KeyProtection::Keyring,
        }))
    }

    fn location(&self, dir: &PrivateDir) -> Result<Option<Location>> {
        if let Some(content) = dir.read(LOCATION)? {
            return Location::parse(&content).map(Some).ok_or_else(|| {
                let path = dir.path().join(LOCATION);
                Error::unavailable(Missing::Key, format!("read {}", path.display()))
                    .with_hint(start_over(dir))
            });
        }
        Ok(self.file.existing(dir)?.map(|_| Location::File))
    }

    async fn kept_in_keyring(&self, dir: &PrivateDir, id: &str) -> Result<MasterKey> {
        let Some(keyring) = &self.keyring else {
            return Err(Error::unavailable(Missing::Key, "read the key of the token store")
                .with_hint("it is in the desktop's keyring, which this program does not use"));
        };
        keyring.find(id).await?.ok_or_else(|| {
            Error::unavailable(Missing::Key, "find the key of the token store in the keyring")
                .with_hint(start_over(dir))
        })
    }

    async fn first(&self, dir: &PrivateDir) -> Result<MasterKey> {
        if let Some(keyring) = &self.keyring {
            let (id, key) = (random_hex(&*self.random, 16), fresh(&*self.random));
            match keyring.keep(&id, &key).await {
                // Nothing is sealed with the key before its place is durable.
                Ok(()) => return self.settle(dir, Location::Keyring { id }).map(|()| key),
                Err(error) => tracing::debug!(%error, "the key is kept in a file"),
            }
        }
        let key = self.file.existing_or_new(dir)?;
        self.settle(dir, Location::File)?;
        Ok(key)
    }

    fn settle(&self, dir: &PrivateDir, location: Location) -> Result<()> {
        if dir.write_new(LOCATION, location.to_string().as_bytes())? {
            return Ok(());
        }
        Err(Error::transient(None, "keep the key: another process keeps one at the same time"))
    }
}

#[async_trait]
impl KeyStore for MasterKeys {
    async fn master_key(&self) -> Result<MasterKey> {
        let _turn = self.turn.lock().await;
        let dir = private_dir(&self.dir)?;
        match self.location(&dir)? {
            Some(Location::Keyring { id }) => self.kept_in_keyring(&dir, &id).await,
            Some(Location::File) => self.file.existing(&dir)?.ok_or_else(|| {
                let path = dir.path().display().to_string();
                Error::unavailable(Missing::Key, format!("read the key in {path}: it is gone"))
                    .with_hint(start_over(&dir))
            }),
            None => self.first(&dir).await,
        }
    }
}

impl Location {
    fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?.trim_end();
        match text.split_once(' ') {
            None if text == "file" => Some(Self::File),
            Some(("keyring", id)) => Some(Self::Keyring { id: id.to_owned() }),
            _ => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file\n"),
            Self::Keyring { id } => writeln!(f, "keyring {id}"),
        }
    }
}

fn start_over(dir: &PrivateDir) -> String {
    let path = dir.path().display();
    format!("bring the key back, or move {path} away and sign in again")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex as Lock;

    use super::*;
    use crate::random::SystemRandom;

    #[derive(Debug, Default)]
    struct FakeKeyring(Lock<Ring>);

    #[derive(Debug, Default)]
    struct Ring {
        locked: bool,
        keys: BTreeMap<String, [u8; 32]>,
    }

    #[async_trait]
    impl KeyringAccess for FakeKeyring {
        async fn find(&self, id: &str) -> Result<Option<MasterKey>> {
            let ring = self.0.lock().unwrap();
            let locked = Error::unavailable(Missing::Key, "locked").with_hint("unlock it");
            if ring.locked {
                Err(locked)
            } else {
                Ok(ring.keys.get(id).copied().map(MasterKey::new))
            }
        }

        async fn keep(&self, id: &str, key: &MasterKey) -> Result<()> {
            self.find(id).await?;
            self.0.lock().unwrap().keys.insert(id.to_owned(), *key.expose());
            Ok(())
        }
    }

    struct KeyPlace {
        temporary: tempfile::TempDir,
        keyring: Arc<FakeKeyring>,
    }

    impl KeyPlace {
        fn new() -> Self {
            Self { temporary: tempfile::tempdir().unwrap(), keyring: Arc::default() }
        }

        fn dir(&self) -> PathBuf {
            self.temporary.path().join("state")
        }

        fn keys(&self, keyring: bool) -> MasterKeys {
            let keyring = keyring.then(|| Arc::clone(&self.keyring) as Arc<dyn KeyringAccess>);
            MasterKeys::new(&self.dir(), keyring, Arc::new(SystemRandom))
        }

        fn files(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.dir()).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    async fn key(keys: &MasterKeys) -> [u8; 32] {
        *keys.master_key().await.unwrap().expose()
    }

    #[tokio::test]
    async fn a_keyring_that_appears_later_does_not_orphan_the_store() {
        let place = KeyPlace::new();
        let first = key(&place.keys(false)).await;
        assert_eq!(place.keys(true).protection().unwrap(), Some(KeyProtection::File));
        assert_eq!(key(&place.keys(true)).await, first);
        assert_eq!(place.files(), ["key-location", "master.key"]);
        let mode = place.dir().join("master.key").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_keyring_that_is_locked_now_is_waited_for_and_nothing_is_overwritten() {
        let place = KeyPlace::new();
        let first = key(&place.keys(true)).await;
        assert_eq!(place.files(), ["key-location"], "the key itself is not on disk");
        assert_eq!(place.keys(true).protection().unwrap(), Some(KeyProtection::Keyring));
        place.keyring.0.lock().unwrap().locked = true;
        for keyring in [true, false] {
            let error = place.keys(keyring).master_key().await.unwrap_err();
            assert_eq!(error.kind(), &keybearer_core::ErrorKind::Unavailable(Missing::Key));
            assert!(error.hint().is_some());
        }
        place.keyring.0.lock().unwrap().locked = false;
        assert_eq!(key(&place.keys(true)).await, first);
        assert_eq!(place.files(), ["key-location"]);
    }

    #[tokio::test]
    async fn a_keyring_that_is_locked_at_first_use_is_passed_over_for_good() {
        let place = KeyPlace::new();
        place.keyring.0.lock().unwrap().locked = true;
        let first = key(&place.keys(true)).await;
        place.keyring.0.lock().unwrap().locked = false;
        assert_eq!(key(&place.keys(true)).await, first);
        assert_eq!(place.keys(true).protection().unwrap(), Some(KeyProtection::File));
    }

    #[tokio::test]
    async fn a_key_that_is_gone_or_spoiled_is_an_error_and_not_replaced() {
        let place = KeyPlace::new();
        key(&place.keys(true)).await;
        place.keyring.0.lock().unwrap().keys.clear();
        assert!(place.keys(true).master_key().await.unwrap_err().hint().is_some());

        let place = KeyPlace::new();
        key(&place.keys(false)).await;
        let file = place.dir().join("master.key");
        std::fs::write(&file, b"short").unwrap();
        assert!(place.keys(false).master_key().await.unwrap_err().hint().is_some());
        std::fs::remove_file(&file).unwrap();
        assert!(place.keys(false).master_key().await.unwrap_err().hint().is_some());
        assert_eq!(place.files(), ["key-location"]);
    }

    #[tokio::test]
    async fn concurrent_first_uses_make_one_key() {
        for keyring in [true, false] {
            let place = KeyPlace::new();
            let keys = place.keys(keyring);
            let (one, two) = tokio::join!(key(&keys), key(&keys));
            assert_eq!(one, two);
        }
    }
}
