//! The identity provider: its metadata and keys, what its token responses mean, and when it may be
//! asked again. Knows no other room.

pub(crate) mod providers;
pub(crate) mod request_context;
mod throttle;
pub(crate) mod transport;
