#![doc = include_str!("../README.md")]

mod challenge;
mod credential;
mod error;
mod options;
mod pipeline;
mod proof;
mod transport;

pub mod prompt {
    //! The interface of a program that shows sign-ins itself, see
    //! [`sign_in_ui`](crate::InteractiveBrowserBrokerCredentialOptions::sign_in_ui).

    pub use keybearer_core::{AuthorityHost, Caller, ClientId, CorrelationId};
    pub use keybearer_engine::{AccountPick, SignIn, SignInOutcome, SignInPrompt, SignInUi};
    pub use keybearer_protocol::RedirectParameters;
}

pub use challenge::claims_challenge_policy;
pub use credential::{AcquireOptions, InteractiveBrowserBrokerCredential};
pub use error::credential_error;
pub use keybearer_client::{
    AuthenticationRecord, BrokerChoice, ParentWindow, WindowHandle, signed_request,
};
pub use keybearer_core::{
    AccessToken, Account, AccountsRequest, AuthorityHost, Broker, CancelRequest, ClientId, Denial,
    Error, ErrorContext, ErrorKind, HomeAccountId, HttpRequestToSign, InteractiveRequest, Missing,
    ProofOfPossession, RemoveAccountRequest, ScopeSet, SilentRequest, TenantId, Timestamp, Token,
    TokenSource, TokenType,
};
pub use options::InteractiveBrowserBrokerCredentialOptions;
pub use proof::proof_of_possession_policy;
