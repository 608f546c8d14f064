//! The connected accounts, and which of them a request means. Depends on the store only.

pub(crate) mod choice;
pub(crate) mod connected_accounts;
pub(crate) mod family_refresh_tokens;
pub(crate) mod refresh_entry;
pub(crate) mod registry;
