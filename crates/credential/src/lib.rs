#![doc = include_str!("../README.md")]

mod credential;
mod error;
mod options;

pub use credential::{AcquireOptions, InteractiveBrowserBrokerCredential};
pub use keybearer_client::{BrokerChoice, ParentWindow};
pub use keybearer_core::{
    AccessToken, Account, AccountsRequest, Broker, CancelRequest, Denial, Error, ErrorContext,
    ErrorKind, HomeAccountId, InteractiveRequest, Missing, RemoveAccountRequest, ScopeSet,
    SilentRequest, Timestamp, Token, TokenSource, TokenType,
};
pub use options::InteractiveBrowserBrokerCredentialOptions;
