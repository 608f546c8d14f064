//! Microsoft Entra on the wire, pure: each exchange is a function that builds an `http::Request`
//! and one that reads the `http::Response`.
//!
//! This crate promises to be deterministic: it takes `now` and random bytes as arguments and does
//! no I/O. It does not decide when to ask, keep anything, or retry.

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
