use async_trait::async_trait;
use keybearer_core::{Error, MasterKey, Missing, Result};
use keybearer_engine::Random;

use super::{KeyPlace, KeyPlaceKind, NewKey, parse, random_key};
use crate::private_dir::PrivateDir;

const FILE: &str = "master.key";

pub(super) static KIND: KeyPlaceKind = KeyPlaceKind {
    name: "file",
    description: "in a file only you can read",
    advice: Some(
        "to have new keys kept in the desktop keyring, unlock it before the broker starts",
    ),
    file: Some(FILE),
    open: |_| Some(Box::new(KeyFile)),
};

/// The file `master.key` of the state directory: 32 bytes, readable by this user only.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyFile;

impl KeyFile {
    fn existing(dir: &PrivateDir) -> Result<Option<MasterKey>> {
        let Some(content) = dir.read(FILE)? else { return Ok(None) };
        let path = dir.path().join(FILE);
        parse(&content).map(Some).ok_or_else(|| {
            let message =
                format!("could not read the key {}: it is not 32 bytes long", path.display());
            Error::unavailable(Missing::Key, message).with_hint(format!(
                "restore it from a backup, or move {} away and sign in again",
                dir.path().display()
            ))
        })
    }
}

#[async_trait]
impl KeyPlace for KeyFile {
    fn kind(&self) -> &'static KeyPlaceKind {
        &KIND
    }

    async fn read(&self, dir: &PrivateDir, _reference: &str) -> Result<Option<MasterKey>> {
        Self::existing(dir)
    }

    async fn create(&self, dir: &PrivateDir, random: &dyn Random) -> Result<NewKey> {
        let key = random_key(random);
        let key = if dir.write_new(FILE, key.expose())? {
            key
        } else {
            // Another process was faster; its key counts.
            Self::existing(dir)?.ok_or_else(|| {
                Error::internal("could not keep the new key: its file vanished at once")
                    .with_hint("stop what deletes files in the state directory, then try again")
            })?
        };
        Ok(NewKey { key, reference: String::new() })
    }
}
