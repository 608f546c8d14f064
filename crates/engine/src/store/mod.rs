//! The store: which records there are, what they contain, how they are sealed, and the order of
//! commits. Uses no other room.

pub(crate) mod record_name;
pub(crate) mod records;
pub(crate) mod sealed_store;
mod vault;
