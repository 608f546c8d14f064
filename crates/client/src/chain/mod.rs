//! The broker of this machine: [`LocalBroker`]. Which brokers it asks, in which order, and what it
//! does about a request that they do not serve, is written in [`policy`].

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod linux_brokers;
mod local_broker;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
mod none;
mod options;
mod policy;
mod shared;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
mod wsl;

pub use local_broker::LocalBroker;
pub use options::{BrokerChoice, LocalBrokerOptions, Persistence};

#[cfg(target_os = "linux")]
use linux::find;
#[cfg(target_os = "macos")]
use macos::find;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
use none::find;
#[cfg(windows)]
use windows::find;
