//! The connected accounts, and which of them a request means.

pub(crate) mod choice;
pub(crate) mod families;
pub(crate) mod refresh_entry;
pub(crate) mod registry;
