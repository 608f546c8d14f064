//! The emulator itself: its state, its endpoints and its listeners.

mod arm;
mod authorize;
mod bearer;
mod blob;
mod claims;
mod clock;
mod control;
mod directory;
mod emulator;
mod endpoint_request;
mod entra_error;
mod error;
mod faults;
mod fixture;
mod host_names;
mod html;
mod jwt;
mod keys;
mod listener;
mod metadata;
mod nested;
mod policies;
mod pop;
mod random;
mod reply;
mod requests;
mod scopes;
mod state;
mod tls;
mod token;

pub use self::emulator::{Emulator, EmulatorOptions};
pub use self::error::Error;
pub use self::host_names::HostNames;
