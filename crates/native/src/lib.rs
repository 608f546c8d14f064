//! The operating systems' own brokers, and everything else for which Keybearer calls an operating
//! system without a safe interface.
//!
//! Each broker is a [`Broker`](keybearer_core::Broker) that can be [`Reachable`]: Web Account Manager on Windows
//! ([`wam`]), the same broker seen from inside WSL ([`wsl`]), and the single sign-on extension on
//! macOS ([`macos`]). This crate does not choose between them, and it contains no sign-in of its
//! own; `keybearer-client` does that.
//!
//! It is the only library of the workspace, beside the Python module, in which code may be `unsafe`.

mod checked;
#[cfg(target_os = "linux")]
pub mod detached;
pub mod limit;
#[cfg(any(test, all(target_os = "macos", feature = "macos-sso-extension")))]
pub mod macos;
mod reachable;
#[cfg(any(windows, test))]
pub mod wam;
mod window;
#[cfg(windows)]
pub mod windows;
#[cfg(target_os = "linux")]
pub mod wsl;

pub use checked::Checked;
pub use reachable::Reachable;
pub use window::{ParentWindow, WindowHandle};
