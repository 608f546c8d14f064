use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Error, MasterKey, Missing, Result};
use keybearer_engine::Random;
use zeroize::Zeroizing;

use super::{KeyPlace, KeyPlaceKind, NewKey, parse, random_key};
use crate::private_dir::PrivateDir;

const FILE: &str = "master.key.sealed";

pub(super) static KIND: KeyPlaceKind = KeyPlaceKind {
    name: "sealed",
    description: "in a file that Windows sealed for you (DPAPI)",
    advice: None,
    file: Some(FILE),
    open: |context| Some(Box::new(SealedFile(Arc::clone(context.sealer.as_ref()?)))),
};

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
    /// `Unavailable(Key)` if it was sealed for another user or is damaged.
    fn unseal(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>>;
}

/// The file `master.key.sealed` of the state directory.
///
/// A file that cannot be unsealed is an error and is not replaced: the store could not be read with
/// another key.
#[derive(Debug)]
pub(super) struct SealedFile(Arc<dyn KeySealer>);

#[async_trait]
impl KeyPlace for SealedFile {
    fn kind(&self) -> &'static KeyPlaceKind {
        &KIND
    }

    async fn read(&self, dir: &PrivateDir, _reference: &str) -> Result<Option<MasterKey>> {
        let Some(sealed) = dir.read(FILE)? else { return Ok(None) };
        let plain = self.0.unseal(&sealed);
        let key = plain
            .and_then(|plain| parse(&plain).ok_or_else(|| unreadable("it is not 32 bytes long")));
        let shown = dir.path().display();
        key.map(Some)
            .map_err(|error| error.with_hint(format!("move {shown} away and sign in again")))
    }

    async fn create(&self, dir: &PrivateDir, random: &dyn Random) -> Result<NewKey> {
        let key = random_key(random);
        let sealed = self.0.seal(key.expose())?;
        // A key that cannot be unsealed again would lose everything that is encrypted with it.
        let again = parse(&self.0.unseal(&sealed)?);
        if again.is_none_or(|again| again.expose() != key.expose()) {
            return Err(unreadable("what was just sealed cannot be unsealed"));
        }
        if dir.write_new(FILE, &sealed)? {
            return Ok(NewKey { key, reference: String::new() });
        }
        Err(Error::transient(None, "could not keep the new key: another process made one")
            .with_hint("try again"))
    }
}

fn unreadable(why: &str) -> Error {
    let message = format!("could not unseal the key of the token store: {why}");
    Error::unavailable(Missing::Key, message)
        .with_hint("move the state directory away and sign in again")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use keybearer_engine::KeyStore;

    use super::*;
    use crate::keys::{KeyStatus, MasterKeys};
    use crate::random::SystemRandom;

    /// Inverts every bit and prepends the user's number, without which it unseals nothing.
    #[derive(Debug)]
    struct InvertingSealer(u8);

    impl KeySealer for InvertingSealer {
        fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
            Ok([self.0].into_iter().chain(plain.iter().map(|byte| !byte)).collect())
        }

        fn unseal(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
            match sealed.split_first() {
                Some((user, rest)) if *user == self.0 => {
                    Ok(Zeroizing::new(rest.iter().map(|byte| !byte).collect()))
                }
                _ => Err(unreadable("it is another user's")),
            }
        }
    }

    fn keys(dir: &Path, user: u8) -> MasterKeys {
        let place = SealedFile(Arc::new(InvertingSealer(user)));
        MasterKeys::new(&dir.join("state"), vec![Box::new(place)], Arc::new(SystemRandom))
    }

    #[tokio::test]
    async fn i4_the_key_is_on_disk_only_sealed_and_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(keys(dir.path(), 1).status().await, KeyStatus::absent());
        let first = *keys(dir.path(), 1).master_key().await.unwrap().expose();
        assert_eq!(keys(dir.path(), 1).status().await, KeyStatus::kept(&KIND));
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
    #[tokio::test]
    async fn a_key_of_a_version_that_noted_no_location_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let first = *keys(dir.path(), 1).master_key().await.unwrap().expose();
        std::fs::remove_file(dir.path().join("state/key-location")).unwrap();
        assert_eq!(*keys(dir.path(), 1).master_key().await.unwrap().expose(), first);
        assert_eq!(keys(dir.path(), 1).status().await, KeyStatus::kept(&KIND));
    }
}
