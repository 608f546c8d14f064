use async_trait::async_trait;
use keybearer_core::{MasterKey, Result};
use keybearer_engine::{KeyStore, Random};

use super::{KeyPlaceKind, KeyStatus, random_key};

/// Never chosen for a state directory: what is stored there would be lost.
pub(super) static KIND: KeyPlaceKind = KeyPlaceKind {
    name: "memory",
    description: "in memory only; it is lost when the process ends",
    advice: None,
    file: None,
    open: |_| None,
};

/// A random key in the memory of this process, for an engine that stores nothing on disk.
#[derive(Debug)]
pub struct EphemeralKeys(MasterKey);

impl EphemeralKeys {
    /// Makes the key.
    #[must_use]
    pub fn new(random: &dyn Random) -> Self {
        Self(random_key(random))
    }

    /// Where such a key is.
    pub(crate) fn status() -> KeyStatus {
        KeyStatus::kept(&KIND)
    }
}

#[async_trait]
impl KeyStore for EphemeralKeys {
    async fn master_key(&self) -> Result<MasterKey> {
        Ok(MasterKey::new(*self.0.expose()))
    }
}
