//! The identity provider: its metadata and keys, what its token responses mean, and when it may be asked again.

pub(crate) mod issue;
pub(crate) mod providers;
pub(crate) mod throttle;
