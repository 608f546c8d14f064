//! The emulator over real TLS on loopback, with requests as its clients send them.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test, in helpers too")]

mod authorize;
mod blob;
mod device;
mod faults;
mod metadata;
mod nested;
#[cfg(unix)]
mod program;
mod proof;
mod support;
mod token;
