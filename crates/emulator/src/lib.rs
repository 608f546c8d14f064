#![doc = include_str!("../README.md")]

mod ready;
#[cfg(feature = "server")]
mod server;

pub use self::ready::{Ready, ReadyApp, ReadyPorts, ReadyUser};
#[cfg(feature = "server")]
pub use self::server::{Emulator, EmulatorOptions, Error, HostNames};
