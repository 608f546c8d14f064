//! Microsoft Entra on the wire, pure: each exchange is a function that builds an `http::Request`
//! and one that reads the `http::Response`.
//!
//! This crate promises to be deterministic: it takes `now` and random bytes as arguments and does
//! no I/O. It does not decide when to ask, keep anything, or retry.

mod body;
mod redirect;

pub use body::Body;
pub use redirect::RedirectParameters;
