use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountsRequest, Broker, CancelRequest, InteractiveRequest, RemoveAccountRequest,
    Result, SignHttpRequest, SignedHttpRequest, SilentRequest, SsoCookie, SsoCookieRequest, Token,
};

use crate::activity::{ActiveCall, Activity};

/// A broker whose calls are noticed.
#[derive(Debug)]
pub(crate) struct Tracked {
    broker: Arc<dyn Broker>,
    noticed_by: Vec<Activity>,
    sign_ins: Activity,
}

impl Tracked {
    /// Every call of `broker` through this value counts in each of `noticed_by`, and one that waits
    /// for a person in `sign_ins` as well.
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        noticed_by: Vec<Activity>,
        sign_ins: Activity,
    ) -> Self {
        Self { broker, noticed_by, sign_ins }
    }

    fn call(&self) -> Vec<ActiveCall> {
        self.noticed_by.iter().map(Activity::begin).collect()
    }
}

#[async_trait]
impl Broker for Tracked {
    fn name(&self) -> &str {
        self.broker.name()
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        let _call = self.call();
        self.broker.accounts(request).await
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        let _call = self.call();
        self.broker.acquire_silent(request).await
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        let _call = (self.call(), self.sign_ins.begin());
        self.broker.acquire_interactive(request).await
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let _call = self.call();
        self.broker.remove_account(request).await
    }

    async fn sso_cookie(&self, request: SsoCookieRequest) -> Result<SsoCookie> {
        let _call = self.call();
        self.broker.sso_cookie(request).await
    }

    async fn sign_http_request(&self, request: SignHttpRequest) -> Result<SignedHttpRequest> {
        let _call = self.call();
        self.broker.sign_http_request(request).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        let _call = self.call();
        self.broker.cancel(request).await
    }
}
