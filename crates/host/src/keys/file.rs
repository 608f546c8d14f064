use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Error, MasterKey, Missing, Result};
use keybearer_engine::{KeyStore, Random};

use super::{fresh, parse};
use crate::private_dir::{PrivateDir, private_dir};

const FILE: &str = "master.key";

/// The master key in `master.key` of a private directory: 32 bytes, readable by this user only.
#[derive(Clone, Debug)]
pub struct FileKeys {
    dir: PathBuf,
    random: Arc<dyn Random>,
}

impl FileKeys {
    /// The key of this state directory. Nothing is opened yet.
    #[must_use]
    pub fn new(state_dir: &Path, random: Arc<dyn Random>) -> Self {
        Self { dir: state_dir.to_owned(), random }
    }

    /// The key, if there is one already.
    pub(super) fn existing(&self, dir: &PrivateDir) -> Result<Option<MasterKey>> {
        let Some(content) = dir.read(FILE)? else { return Ok(None) };
        let path = dir.path().join(FILE);
        parse(&content).map(Some).ok_or_else(|| {
            let message = format!("read the key {}: it does not hold 32 bytes", path.display());
            Error::unavailable(Missing::Key, message).with_hint(format!(
                "restore it from a backup, or move {} away and sign in again",
                dir.path().display()
            ))
        })
    }

    /// The key, made now if there is none. Whoever makes it first wins.
    pub(super) fn existing_or_new(&self, dir: &PrivateDir) -> Result<MasterKey> {
        if let Some(key) = self.existing(dir)? {
            return Ok(key);
        }
        let key = fresh(&*self.random);
        if dir.write_new(FILE, key.expose())? {
            return Ok(key);
        }
        let vanished = || Error::internal("keep the new key: it vanished at once");
        self.existing(dir)?.ok_or_else(vanished)
    }
}

#[async_trait]
impl KeyStore for FileKeys {
    async fn master_key(&self) -> Result<MasterKey> {
        let own = self.clone();
        let work = move || own.existing_or_new(&private_dir(&own.dir)?);
        let task = tokio::task::spawn_blocking(work);
        task.await.map_err(|error| Error::internal("read the key").with_source(error))?
    }
}
