use std::fmt;

use async_trait::async_trait;

use crate::{
    Account, AccountsRequest, CancelRequest, Error, InteractiveRequest, Missing,
    RemoveAccountRequest, Result, SignHttpRequest, SignedHttpRequest, SilentRequest, SsoCookie,
    SsoCookieRequest, Token,
};

/// An authentication broker: runs sign-ins and keeps the tokens of all connected accounts.
///
/// The one joint of Keybearer. The engine, the proxies to other processes' brokers, the operating
/// systems' brokers and the test double all implement it, and the D-Bus adaptor serves any of them.
///
/// Every method ends by its request's [deadline](crate::Deadline), with
/// [`TimedOut`](crate::ErrorKind::TimedOut) if necessary (promise I7); dropping a future gives up
/// the request. An implementation that is not there at all returns
/// [`Unavailable`](crate::ErrorKind::Unavailable), on which callers try another.
#[async_trait]
pub trait Broker: Send + Sync + fmt::Debug {
    /// A short name for logs and for the person, such as `keybearer broker`.
    fn name(&self) -> &str;

    /// The connected accounts, the one used last first.
    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>>;

    /// A token without any user interface.
    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token>;

    /// A token; the person may be asked.
    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token>;

    /// Forgets an account and all its tokens. An unknown account is an `InvalidRequest`.
    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()>;

    /// A browser single sign-on cookie. Needs a registered device; by default there is none.
    async fn sso_cookie(&self, request: SsoCookieRequest) -> Result<SsoCookie> {
        Err(Error::unavailable(Missing::DeviceRegistration, "this device is not registered")
            .with_correlation_id(request.correlation_id))
    }

    /// A signed HTTP request. By default there are no keys to sign with.
    async fn sign_http_request(&self, request: SignHttpRequest) -> Result<SignedHttpRequest> {
        Err(Error::unavailable(Missing::Key, "this broker has no key for that account")
            .with_correlation_id(request.correlation_id))
    }

    /// Ends the caller's waiting interactive requests, which then fail with
    /// [`Cancelled`](crate::ErrorKind::Cancelled). Having none is not an error.
    async fn cancel(&self, request: CancelRequest) -> Result<()>;
}
