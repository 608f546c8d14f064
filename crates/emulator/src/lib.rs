#![doc = include_str!("../README.md")]

#[cfg(feature = "client")]
mod client;
mod ready;
#[cfg(feature = "server")]
mod server;

#[cfg(all(feature = "client", unix))]
pub use self::client::SessionBus;
#[cfg(feature = "client")]
pub use self::client::{
    Browser, Client, Form, Home, Intent, Laboratory, LaboratoryError, Landing, Person, PersonError,
    Running, Unknown, eventually,
};
pub use self::ready::{Ready, ReadyApp, ReadyPorts, ReadyUser};
#[cfg(feature = "server")]
pub use self::server::{Emulator, EmulatorOptions, Error, HostNames};
