//! The machine around the emulator: a person at a browser, an HTTP client that trusts the emulator,
//! and private directories with programs in them.

mod browser;
mod error;
mod home;
mod http;
mod laboratory;
mod page;
mod person;
mod program;
#[cfg(unix)]
mod session_bus;

pub use self::browser::Browser;
pub use self::error::LaboratoryError;
pub use self::home::Home;
pub use self::http::Client;
pub use self::laboratory::Laboratory;
pub use self::page::Form;
pub use self::person::{Intent, Landing, Person, PersonError, Unknown};
pub use self::program::{Running, eventually};
#[cfg(unix)]
pub use self::session_bus::SessionBus;
