use std::fmt;
use std::future::Future;

use async_trait::async_trait;

use crate::{
    Account, AccountsRequest, Broker, BrokerRequest, CancelRequest, InteractiveRequest,
    RemoveAccountRequest, Result, SignHttpRequest, SignedHttpRequest, SilentRequest, SsoCookie,
    SsoCookieRequest, Token,
};

/// A decorator: a broker that passes requests on to another one, and treats all verbs alike.
///
/// One function, [`forward`](Self::forward), serves every verb, also those to come. A verb that the
/// decorator treats specially has a separate method here, which by default forwards too. Every type that
/// implements this trait is a [`Broker`].
pub trait Forward: Send + Sync + fmt::Debug {
    /// See [`Broker::name`].
    fn forward_name(&self) -> &str;

    /// Passes any request on.
    fn forward<R: BrokerRequest>(
        &self,
        request: R,
    ) -> impl Future<Output = Result<R::Reply>> + Send;

    /// See [`Broker::accounts`].
    fn forward_accounts(
        &self,
        request: AccountsRequest,
    ) -> impl Future<Output = Result<Vec<Account>>> + Send {
        self.forward(request)
    }

    /// See [`Broker::acquire_silent`].
    fn forward_silent(&self, request: SilentRequest) -> impl Future<Output = Result<Token>> + Send {
        self.forward(request)
    }

    /// See [`Broker::acquire_interactive`].
    fn forward_interactive(
        &self,
        request: InteractiveRequest,
    ) -> impl Future<Output = Result<Token>> + Send {
        self.forward(request)
    }

    /// See [`Broker::remove_account`].
    fn forward_remove_account(
        &self,
        request: RemoveAccountRequest,
    ) -> impl Future<Output = Result<()>> + Send {
        self.forward(request)
    }

    /// See [`Broker::cancel`].
    fn forward_cancel(&self, request: CancelRequest) -> impl Future<Output = Result<()>> + Send {
        self.forward(request)
    }
}

#[async_trait]
impl<T: Forward> Broker for T {
    fn name(&self) -> &str {
        self.forward_name()
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        self.forward_accounts(request).await
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        self.forward_silent(request).await
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        self.forward_interactive(request).await
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        self.forward_remove_account(request).await
    }

    async fn sso_cookie(&self, request: SsoCookieRequest) -> Result<SsoCookie> {
        self.forward(request).await
    }

    async fn sign_http_request(&self, request: SignHttpRequest) -> Result<SignedHttpRequest> {
        self.forward(request).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        self.forward_cancel(request).await
    }
}
