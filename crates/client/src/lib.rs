//! The broker of this machine, and the credential logic every language shares.
//!
//! [`LocalBroker`] is a [`Broker`](keybearer_core::Broker) that finds the broker to use:
//! Keybearer's over its socket, the owner of the name on the session bus, a broker that it starts, the
//! operating system's broker, or an engine in this process. [`Credential`] asks it for tokens the way
//! an Azure credential does: one resource, one deadline, silently if possible, with a private cache.
//!
//! This crate does not know any SDK's types; `keybearer` and `keybearer-python` map them.

#![forbid(unsafe_code)]

mod cache;
mod caller_ui;
mod chain;
mod credential;
mod flights;
mod in_process;
mod log;
#[cfg(not(target_os = "linux"))]
mod on_disk;
mod options;
mod per_process;
mod query;
mod record;
mod runtime;
#[cfg(target_os = "linux")]
mod start;
mod tenant;

pub use caller_ui::DesktopUi;
pub use chain::{BrokerChoice, LocalBroker, LocalBrokerOptions, Persistence};
pub use credential::Credential;
pub use keybearer_core::AZURE_DEVELOPER_APP;
pub use keybearer_native::limit::deadline_after;
#[cfg(target_os = "linux")]
pub use keybearer_native::wsl::{FoundBy, FoundProxy, ProxyBroker, WslProxyLocator};
pub use keybearer_native::{ParentWindow, Reachable, WindowHandle};
pub use options::CredentialOptions;
pub use query::{TokenQuery, signed_request};
pub use record::AuthenticationRecord;
pub use runtime::background;
#[cfg(target_os = "linux")]
pub use start::{find_program, start_broker};
