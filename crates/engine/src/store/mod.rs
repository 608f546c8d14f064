//! What the store holds: the names and contents of records, and how they are sealed.

pub(crate) mod record_name;
pub(crate) mod records;
pub(crate) mod vault;
