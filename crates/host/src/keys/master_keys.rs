use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Error, MasterKey, Missing, Result};
use keybearer_engine::{KeyStore, Random};
use tokio::sync::Mutex;

use super::{KeyContext, KeyPlace, KeyPlaceKind, KeyStatus, NewKey};
use crate::private_dir::{PrivateDir, private_dir};

/// The file that records where the key of this state directory is. It is never rewritten.
const LOCATION: &str = "key-location";

/// The master key of a state directory, in the first place that takes it.
///
/// Once there is a key, its place stays: a keyring that becomes available later does not orphan the
/// store, and a keyring that is locked today is an error, not a reason for another key.
#[derive(Debug)]
pub(crate) struct MasterKeys {
    dir: PathBuf,
    /// The best first.
    places: Vec<Box<dyn KeyPlace>>,
    random: Arc<dyn Random>,
    /// Two concurrent first uses must not make two keys.
    creating: Mutex<()>,
}

/// The content of [`LOCATION`].
#[derive(Clone, PartialEq, Eq, Debug)]
struct Location {
    /// The name of the place's kind.
    place: String,
    reference: String,
}

impl MasterKeys {
    /// The key of this state directory, in one of these places, the best first. Nothing is opened
    /// yet.
    pub(crate) fn new(
        state_dir: &Path,
        places: Vec<Box<dyn KeyPlace>>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self { dir: state_dir.to_owned(), places, random, creating: Mutex::default() }
    }

    /// The key of this state directory, in the places that are available here.
    pub(crate) fn here(
        state_dir: &Path,
        context: &KeyContext<'_>,
        random: Arc<dyn Random>,
    ) -> Self {
        let places = KeyPlaceKind::all().filter_map(|kind| (kind.open)(context)).collect();
        Self::new(state_dir, places, random)
    }

    /// Where the key is, or why it cannot be read. Changes nothing, and makes no key.
    pub(crate) async fn status(&self) -> KeyStatus {
        self.kind_of_place().await.into()
    }

    async fn kind_of_place(&self) -> Result<Option<&'static KeyPlaceKind>> {
        if self.dir.symlink_metadata().is_err() {
            return Ok(None);
        }
        let dir = private_dir(&self.dir)?;
        let Some(location) = self.location(&dir)? else { return Ok(None) };
        let place = self.place(&dir, &location)?;
        if place.contains(&dir, &location.reference).await? {
            Ok(Some(place.kind()))
        } else {
            Err(missing(&dir, place.kind()))
        }
    }

    fn location(&self, dir: &PrivateDir) -> Result<Option<Location>> {
        if let Some(content) = dir.read(LOCATION)? {
            let location = Location::parse(&content).filter(|location| self.knows(&location.place));
            return location.map(Some).ok_or_else(|| {
                let path = dir.path().join(LOCATION);
                let message = format!("could not read {}: it is damaged", path.display());
                Error::unavailable(Missing::Key, message).with_hint(start_over(dir))
            });
        }
        // A process that ended between the two writes left a key, but no location.
        let mut kinds = self.places.iter().map(|place| place.kind());
        let kind = kinds.find(|kind| kind.file.is_some_and(|file| dir.contains(file)));
        Ok(kind.map(|kind| Location { place: kind.name.to_owned(), reference: String::new() }))
    }

    fn knows(&self, name: &str) -> bool {
        let own = self.places.iter().any(|place| place.kind().name == name);
        own || KeyPlaceKind::named(name).is_some()
    }

    fn place(&self, dir: &PrivateDir, location: &Location) -> Result<&dyn KeyPlace> {
        let place = self.places.iter().find(|place| place.kind().name == location.place);
        place.map(|place| &**place).ok_or_else(|| {
            let place = KeyPlaceKind::named(&location.place);
            let place = place.map_or(&*location.place, |kind| kind.description);
            let message = format!(
                "could not read the key of the token store: it is kept {place}, which is not available here"
            );
            Error::unavailable(Missing::Key, message).with_hint(format!(
                "start the broker in your desktop session, or {}",
                start_over(dir)
            ))
        })
    }

    async fn create(&self, dir: &PrivateDir) -> Result<MasterKey> {
        let mut refusal = None;
        for place in &self.places {
            let name = place.kind().name;
            match place.create(dir, &*self.random).await {
                // Nothing is sealed with the key before its location is durable.
                Ok(NewKey { key, reference }) => {
                    let location = Location { place: name.to_owned(), reference };
                    return record(dir, &location).map(|()| key);
                }
                Err(error) => {
                    tracing::debug!(place = name, %error, "the new key cannot be kept in this place");
                    refusal = Some(error);
                }
            }
        }
        Err(refusal.unwrap_or_else(|| {
            let message = "could not make a key for the token store: there is no place to keep it";
            Error::unavailable(Missing::Key, message).with_hint("unlock the desktop's keyring")
        }))
    }
}

#[async_trait]
impl KeyStore for MasterKeys {
    async fn master_key(&self) -> Result<MasterKey> {
        let _creating = self.creating.lock().await;
        let dir = private_dir(&self.dir)?;
        let Some(location) = self.location(&dir)? else { return self.create(&dir).await };
        let place = self.place(&dir, &location)?;
        let key = place.read(&dir, &location.reference).await?;
        key.ok_or_else(|| missing(&dir, place.kind()))
    }
}

impl Location {
    fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?.trim_end();
        let (place, reference) = text.split_once(' ').unwrap_or((text, ""));
        Some(Self { place: place.to_owned(), reference: reference.to_owned() })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reference.as_str() {
            "" => writeln!(f, "{}", self.place),
            reference => writeln!(f, "{} {reference}", self.place),
        }
    }
}

fn record(dir: &PrivateDir, location: &Location) -> Result<()> {
    if dir.write_new(LOCATION, location.to_string().as_bytes())? {
        return Ok(());
    }
    Err(Error::transient(None, "could not keep the new key: another process made one")
        .with_hint("try again"))
}

fn missing(dir: &PrivateDir, kind: &KeyPlaceKind) -> Error {
    let message = format!(
        "could not read the key of the token store: it should be {}, but is gone",
        kind.description
    );
    Error::unavailable(Missing::Key, message)
        .with_hint(format!("restore the key, or {}", start_over(dir)))
}

fn start_over(dir: &PrivateDir) -> String {
    format!("move {} away and sign in again", dir.path().display())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex as Lock;

    use super::*;
    use crate::keys::file::{self, KeyFile};
    use crate::keys::random_key;
    use crate::random::{SystemRandom, random_hex};

    static KEYRING: KeyPlaceKind = KeyPlaceKind {
        name: "keyring",
        description: "in the fake keyring",
        advice: None,
        file: None,
        open: |_| None,
    };

    #[derive(Clone, Debug, Default)]
    struct FakeKeyring(Arc<Lock<Ring>>);

    #[derive(Debug, Default)]
    struct Ring {
        locked: bool,
        keys: BTreeMap<String, [u8; 32]>,
    }

    impl FakeKeyring {
        fn set_locked(&self, locked: bool) {
            self.0.lock().unwrap().locked = locked;
        }
    }

    #[async_trait]
    impl KeyPlace for FakeKeyring {
        fn kind(&self) -> &'static KeyPlaceKind {
            &KEYRING
        }

        async fn read(&self, _: &PrivateDir, id: &str) -> Result<Option<MasterKey>> {
            let ring = self.0.lock().unwrap();
            let locked = Error::unavailable(Missing::Key, "locked").with_hint("unlock it");
            if ring.locked {
                Err(locked)
            } else {
                Ok(ring.keys.get(id).copied().map(MasterKey::new))
            }
        }

        async fn create(&self, dir: &PrivateDir, random: &dyn Random) -> Result<NewKey> {
            let (reference, key) = (random_hex(random, 16), random_key(random));
            self.read(dir, &reference).await?;
            self.0.lock().unwrap().keys.insert(reference.clone(), *key.expose());
            Ok(NewKey { key, reference })
        }

        async fn contains(&self, _: &PrivateDir, id: &str) -> Result<bool> {
            Ok(self.0.lock().unwrap().keys.contains_key(id))
        }
    }

    /// A state directory and a keyring.
    struct Machine {
        temporary: tempfile::TempDir,
        keyring: FakeKeyring,
    }

    impl Machine {
        fn new() -> Self {
            Self { temporary: tempfile::tempdir().unwrap(), keyring: FakeKeyring::default() }
        }

        fn dir(&self) -> PathBuf {
            self.temporary.path().join("state")
        }

        fn keys(&self, keyring: bool) -> MasterKeys {
            let keyring: Option<Box<dyn KeyPlace>> =
                if keyring { Some(Box::new(self.keyring.clone())) } else { None };
            let places = keyring.into_iter().chain([Box::new(KeyFile) as Box<dyn KeyPlace>]);
            MasterKeys::new(&self.dir(), places.collect(), Arc::new(SystemRandom))
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
        let machine = Machine::new();
        let first = key(&machine.keys(false)).await;
        assert_eq!(machine.keys(true).status().await, KeyStatus::kept(&file::KIND));
        assert_eq!(key(&machine.keys(true)).await, first);
        assert_eq!(machine.files(), ["key-location", "master.key"]);
        let mode = machine.dir().join("master.key").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_keyring_that_is_locked_now_is_waited_for_and_nothing_is_overwritten() {
        let machine = Machine::new();
        let first = key(&machine.keys(true)).await;
        assert_eq!(machine.files(), ["key-location"], "the key itself is not on disk");
        assert_eq!(machine.keys(true).status().await, KeyStatus::kept(&KEYRING));
        machine.keyring.set_locked(true);
        for keyring in [true, false] {
            let error = machine.keys(keyring).master_key().await.unwrap_err();
            assert_eq!(error.kind(), &keybearer_core::ErrorKind::Unavailable(Missing::Key));
            assert!(error.hint().is_some());
        }
        machine.keyring.set_locked(false);
        assert_eq!(key(&machine.keys(true)).await, first);
        assert_eq!(machine.files(), ["key-location"]);
    }

    #[tokio::test]
    async fn a_keyring_that_is_locked_at_first_use_is_passed_over_for_good() {
        let machine = Machine::new();
        machine.keyring.set_locked(true);
        let first = key(&machine.keys(true)).await;
        machine.keyring.set_locked(false);
        assert_eq!(key(&machine.keys(true)).await, first);
        assert_eq!(machine.keys(true).status().await, KeyStatus::kept(&file::KIND));
    }

    #[tokio::test]
    async fn a_key_that_is_gone_or_spoiled_is_an_error_and_not_replaced() {
        let machine = Machine::new();
        key(&machine.keys(true)).await;
        machine.keyring.0.lock().unwrap().keys.clear();
        assert!(machine.keys(true).master_key().await.unwrap_err().hint().is_some());

        let machine = Machine::new();
        key(&machine.keys(false)).await;
        let file = machine.dir().join("master.key");
        std::fs::write(&file, b"short").unwrap();
        assert!(machine.keys(false).master_key().await.unwrap_err().hint().is_some());
        std::fs::remove_file(&file).unwrap();
        assert!(machine.keys(false).master_key().await.unwrap_err().hint().is_some());
        assert_eq!(machine.files(), ["key-location"]);
    }

    #[tokio::test]
    async fn concurrent_first_uses_make_one_key() {
        for keyring in [true, false] {
            let machine = Machine::new();
            let keys = machine.keys(keyring);
            let (one, two) = tokio::join!(key(&keys), key(&keys));
            assert_eq!(one, two);
        }
    }
    #[tokio::test]
    async fn the_status_is_an_error_if_the_next_start_would_be_one() {
        let machine = Machine::new();
        assert_eq!(machine.keys(false).status().await, KeyStatus::absent());
        assert!(!machine.dir().exists(), "looking makes nothing");
        key(&machine.keys(false)).await;
        for (file, problem) in [("master.key", "32 bytes"), ("key-location", "is damaged")] {
            std::fs::write(machine.dir().join(file), b"short").unwrap();
            let status = machine.keys(false).status().await;
            let KeyStatus { problem: Some(found), .. } = &status else { panic!("{status:?}") };
            assert!(found.message.contains(problem) && found.hint.is_some(), "{found:?}");
        }

        let machine = Machine::new();
        key(&machine.keys(true)).await;
        machine.keyring.set_locked(true);
        assert_eq!(machine.keys(true).status().await, KeyStatus::kept(&KEYRING));
        assert!(machine.keys(false).status().await.problem.is_some(), "no keyring here");
        machine.keyring.0.lock().unwrap().keys.clear();
        assert!(machine.keys(true).status().await.problem.is_some(), "the key is gone");
    }
}
