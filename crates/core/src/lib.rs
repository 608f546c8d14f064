//! The vocabulary of Keybearer: identifiers, scopes, authorities, clouds, accounts, requests,
//! tokens, secrets, one error type, and [`Broker`], the trait that connects all other crates.
//!
//! This crate performs no I/O, reads no clock, needs no runtime and holds no policy. Text from
//! outside is parsed into its types once; code that has a value of such a type need not check it.

mod account;
mod authority;
mod broker;
mod caller;
mod caller_ui;
mod claims;
mod cloud;
mod error;
mod ids;
pub mod promises;
mod request;
mod scope;
mod secret;
mod time;
mod token;

pub use account::{Account, AccountChoice};
pub use authority::{Authority, AuthorityHost, Tenant};
pub use broker::Broker;
pub use caller::{Caller, CallerId, Process};
pub use caller_ui::{
    Abilities, AccountPick, CallerUi, SignInAddress, SignInMethod, SignInOptions, SshSession,
    Terminal, UserCode, no_terminal,
};
pub use claims::{Capabilities, Claims};
pub use cloud::{Cloud, ResourceManager};
pub use error::{Denial, Error, ErrorContext, ErrorKind, Missing, Result};
pub use ids::{ClientId, CorrelationId, HomeAccountId, TenantId};
pub use request::{
    AccountsRequest, CancelRequest, HttpRequestToSign, InteractiveRequest, Prompt,
    ProofOfPossession, RemoveAccountRequest, SignHttpRequest, SilentRequest, SsoCookieRequest,
    TokenParameters,
};
pub use scope::{OIDC_SCOPES, ScopeSet};
pub use secret::{
    AccessToken, AuthorizationCode, CodeVerifier, IdToken, MasterKey, PastedAnswer, RefreshToken,
    SignedHttpRequest, SsoCookieContent,
};
pub use time::Timestamp;
pub use token::{SsoCookie, Token, TokenSource, TokenType};
