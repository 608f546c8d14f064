//! What Windows' own functions are needed for, besides its broker: an access list, the Data
//! Protection API, and the messages of a caller's windows.
#![allow(unsafe_code, reason = "the system's functions have no other form")]

mod access;
mod dpapi;
mod messages;

pub use access::private_directory;
pub use dpapi::Dpapi;
pub use messages::receive;
