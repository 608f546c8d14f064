use async_trait::async_trait;
use keybearer_core::{MasterKey, Result};
use keybearer_engine::KeyStore;

/// Always the same master key.
#[derive(Clone, Copy, Debug)]
pub struct FixedKeys(pub [u8; 32]);

impl Default for FixedKeys {
    fn default() -> Self {
        Self([0x4b; 32])
    }
}

#[async_trait]
impl KeyStore for FixedKeys {
    async fn master_key(&self) -> Result<MasterKey> {
        Ok(MasterKey::new(self.0))
    }
}
