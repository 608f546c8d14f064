//! The wire protocol of Microsoft Entra, as pure functions: for each exchange one function builds
//! the `http::Request` and one reads the `http::Response`.
//!
//! This crate is deterministic: it takes `now` and random bytes as arguments and does no I/O. It
//! keeps no state, does not retry, and does not decide when a request is made.

pub mod authorize;
mod body;
pub mod challenge;
pub mod client_info;
pub mod device_code;
mod encoding;
pub mod error;
mod exchange;
pub mod id_token;
pub mod instance;
pub mod keys;
pub mod metadata;
mod parameters;
pub mod pkce;
mod redirect;
pub mod shr;
#[cfg(test)]
mod testdata;
pub mod token;

pub use body::Body;
pub use redirect::RedirectParameters;
