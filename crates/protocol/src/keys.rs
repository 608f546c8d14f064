//! The keys that sign id tokens: RFC 7517.

use keybearer_core::{CorrelationId, Result};

use crate::Body;
use crate::metadata::ProviderMetadata;

/// Asks for the provider's keys.
///
/// # Errors
/// `Protocol` if the address of the keys cannot stand in an HTTP request.
pub fn request(
    metadata: &ProviderMetadata,
    correlation_id: &CorrelationId,
) -> Result<http::Request<Body>> {
    let _ = (metadata, correlation_id);
    todo!()
}

/// Reads the answer, RFC 7517 §5. Keys of a kind this crate does not use are left out.
///
/// # Errors
/// `Protocol` if it is not a key set or has no usable key.
pub fn parse(response: &http::Response<Body>) -> Result<KeySet> {
    let _ = response;
    todo!()
}

/// A provider's public signing keys.
#[derive(Clone, Debug)]
pub struct KeySet(());

impl KeySet {
    /// Whether there is a key with this id.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        let _ = kid;
        todo!()
    }
}
