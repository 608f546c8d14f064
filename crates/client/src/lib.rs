//! The broker of this machine, and the credential logic every language shares.
//!
//! [`LocalBroker`] is a [`Broker`](keybearer_core::Broker) that finds the one to use: Keybearer's
//! own over its socket, whoever owns the name on the session bus, a broker it starts, or an engine
//! in this process. [`Credential`] asks it for tokens the way an Azure credential does: one
//! resource, one deadline, silently if possible, with a cache of its own.
//!
//! This crate does not know any SDK's types; `keybearer` and `keybearer-python` map them.

mod cache;
mod chain;
mod credential;
mod flights;
mod in_process;
mod log;
mod options;
mod per_process;
mod presenter;
mod record;
mod runtime;
mod start;
mod tenant;
mod window;

pub use chain::{BrokerChoice, LocalBroker, LocalBrokerOptions, Reachable};
pub use credential::{Credential, TokenQuery};
pub use options::{AZURE_DEVELOPER_APP, CredentialOptions};
pub use presenter::DesktopPresenter;
pub use record::AuthenticationRecord;
pub use runtime::background;
pub use start::{find_program, start_broker};
pub use window::{ParentWindow, WindowHandle};
