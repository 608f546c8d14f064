//! The engine's effects on a real machine: HTTP, clock, randomness, the store on disk and its key,
//! the browser, the loopback listener and the sign-in window.
//!
//! This crate promises that every wait has a deadline (invariant I7), that its files are whole after
//! a crash (I3) and closed to other users, and that no program it starts writes to this process's
//! standard output (I10). Decisions about tokens are made by the engine.

mod available_ui;
mod browser;
mod callers_browser;
mod clock;
mod environment;
mod host;
mod http;
mod keys;
mod loopback;
mod memory_store;
mod paths;
#[cfg_attr(windows, path = "private_dir_windows.rs")]
mod private_dir;
mod process;
mod random;
mod settings;
mod spawner;
mod store;
#[cfg(target_os = "linux")]
mod tcp_peer;
#[cfg(unix)]
mod window;

pub use self::http::HttpClient;
pub use available_ui::{AvailableUi, Ui};
pub use browser::{Browser, BrowserCommand, BrowserLauncher, BrowserRoute, Launch};
pub use clock::SystemClock;
pub use environment::Environment;
pub use host::Host;
#[cfg(target_os = "macos")]
pub use keys::Keychain;
#[cfg(all(unix, feature = "keyring"))]
pub use keys::Keyring;
pub use keys::{EphemeralKeys, KeyPlace, KeyPlaceKind, KeyProblem, KeySealer, KeyStatus, NewKey};
pub use loopback::LoopbackUi;
pub use memory_store::MemoryStore;
pub use paths::{Paths, UserFacts};
pub use private_dir::{PrivateDir, private_dir};
#[cfg(unix)]
pub use process::own_process;
pub use process::process;
pub use random::SystemRandom;
pub use settings::{Config, Settings};
pub use spawner::RuntimeSpawner;
pub use store::{FileStore, StoreNotice};
#[cfg(target_os = "linux")]
pub use tcp_peer::Peer;
