//! The connected accounts, and which of them a request means.

pub(crate) mod choice;
pub(crate) mod registry;
