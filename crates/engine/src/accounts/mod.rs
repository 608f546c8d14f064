//! The connected accounts, which of them a request means, and the rotation of their refresh tokens.
//! Uses the store only.

pub(crate) mod choice;
pub(crate) mod connected_accounts;
pub(crate) mod family_refresh_tokens;
pub(crate) mod refresh_entry;
pub(crate) mod registry;
