use async_trait::async_trait;
use keybearer_core::{MasterKey, Result};
use keybearer_engine::{KeyStore, Random};

use super::fresh;

/// A random key that lives as long as this value.
#[derive(Debug)]
pub struct EphemeralKeys(MasterKey);

impl EphemeralKeys {
    /// Makes the key.
    #[must_use]
    pub fn new(random: &dyn Random) -> Self {
        Self(fresh(random))
    }
}

#[async_trait]
impl KeyStore for EphemeralKeys {
    async fn master_key(&self) -> Result<MasterKey> {
        Ok(MasterKey::new(*self.0.expose()))
    }
}
