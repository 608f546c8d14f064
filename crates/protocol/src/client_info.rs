//! `client_info`: who signed in, across directories. Microsoft's addition to RFC 6749 §5.1.

use keybearer_core::{HomeAccountId, Result};

/// The identity that stays the same in every directory.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ClientInfo {
    /// The object id in the home directory.
    pub uid: String,
    /// The home directory.
    pub utid: String,
}

/// Reads base64url JSON, with or without padding.
///
/// # Errors
/// `Protocol` if it is something else.
pub fn parse(encoded: &str) -> Result<ClientInfo> {
    let _ = encoded;
    todo!()
}

impl ClientInfo {
    /// The identity as the one word accounts are kept under.
    ///
    /// # Errors
    /// `Protocol` if a part is empty or has unexpected characters.
    pub fn home_account_id(&self) -> Result<HomeAccountId> {
        todo!()
    }
}

/// Writes what [`parse`] reads.
#[must_use]
pub fn encode(id: &HomeAccountId) -> String {
    let _ = id;
    todo!()
}
