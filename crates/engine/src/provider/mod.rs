//! Identity providers: whether they are trusted, their endpoints and signing keys, their token
//! responses, and how long they asked to wait. Uses no other room.

pub(crate) mod providers;
pub(crate) mod request_context;
mod throttle;
pub(crate) mod transport;
