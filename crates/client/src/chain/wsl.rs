//! In WSL: the Windows broker, and this Linux's own for as long as that one cannot be reached.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountsRequest, Broker, CancelRequest, Deadline, Error, ErrorKind,
    InteractiveRequest, Missing, RemoveAccountRequest, Result, SignHttpRequest, SignedHttpRequest,
    SilentRequest, SsoCookie, SsoCookieRequest, Token,
};
use keybearer_native::Reachable;
use keybearer_native::limit::within;
use keybearer_native::wsl::ProxyBroker;
use tokio::sync::Mutex;

use super::Repeat;
use super::linux::{LinuxBrokers, error_of_both};

/// Asks the proxy. Once it shows that it cannot work here (it does not start, has no answer, or can
/// show no dialog), this process stays with a broker of this Linux: nothing has been done yet that would be done
/// twice, and accounts do not come and go from call to call.
#[derive(Debug)]
pub(super) struct ThroughProxy {
    proxy: ProxyBroker,
    native: LinuxBrokers,
    instead: Mutex<Option<Arc<dyn Reachable>>>,
}

impl ThroughProxy {
    pub(super) fn new(program: PathBuf, native: LinuxBrokers) -> Self {
        Self { proxy: ProxyBroker::new(program), native, instead: Mutex::default() }
    }

    async fn call<T, F, Fut>(&self, deadline: Deadline, repeat: Repeat, call: F) -> Result<T>
    where
        F: Fn(Arc<dyn Broker>) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let instead = self.instead.lock().await.clone();
        let broker = match instead {
            Some(broker) if !broker.is_closed() => broker,
            Some(_) => self.find_native(deadline).await?,
            None => match call(Arc::new(self.proxy.clone())).await {
                Err(reason) if cannot_work(&reason) => {
                    tracing::debug!(error = %reason, "the Windows broker cannot be reached");
                    let found = self.find_native(deadline).await;
                    found.map_err(|error| error_of_both(&reason, &error))?
                }
                outcome => return outcome,
            },
        };
        let outcome = call(Arc::clone(&broker) as Arc<dyn Broker>).await;
        if outcome.is_err() && broker.is_closed() && repeat == Repeat::Once {
            return call(self.find_native(deadline).await?).await;
        }
        outcome
    }

    async fn find_native(&self, deadline: Deadline) -> Result<Arc<dyn Reachable>> {
        let late = || Error::timed_out("find the broker");
        let broker = within(deadline, late, self.native.find(deadline)).await?;
        *self.instead.lock().await = Some(Arc::clone(&broker));
        Ok(broker)
    }
}

/// Windows was not asked, or cannot show a dialog here.
fn cannot_work(error: &Error) -> bool {
    let ErrorKind::Unavailable(missing) = error.kind() else { return false };
    matches!(missing, Missing::Broker | Missing::UserInterface)
}

impl Reachable for ThroughProxy {
    /// Each call finds a broker if it has to.
    fn is_closed(&self) -> bool {
        false
    }
}

#[async_trait]
impl Broker for ThroughProxy {
    fn name(&self) -> &str {
        self.proxy.name()
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        self.call(request.deadline, Repeat::Once, |broker| {
            let request = request.clone();
            async move { broker.accounts(request).await }
        })
        .await
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        self.call(request.parameters.deadline, Repeat::Once, |broker| {
            let request = request.clone();
            async move { broker.acquire_silent(request).await }
        })
        .await
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        self.call(request.parameters.deadline, Repeat::Never, |broker| {
            let request = request.clone();
            async move { broker.acquire_interactive(request).await }
        })
        .await
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        self.call(request.deadline, Repeat::Never, |broker| {
            let request = request.clone();
            async move { broker.remove_account(request).await }
        })
        .await
    }

    async fn sso_cookie(&self, request: SsoCookieRequest) -> Result<SsoCookie> {
        self.call(request.deadline, Repeat::Once, |broker| {
            let request = request.clone();
            async move { broker.sso_cookie(request).await }
        })
        .await
    }

    async fn sign_http_request(&self, request: SignHttpRequest) -> Result<SignedHttpRequest> {
        self.call(request.deadline, Repeat::Once, |broker| {
            let request = request.clone();
            async move { broker.sign_http_request(request).await }
        })
        .await
    }

    /// Wherever the flows are.
    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        let instead = self.instead.lock().await.clone();
        self.proxy.cancel(request.clone()).await?;
        match instead {
            Some(instead) => instead.cancel(request).await,
            None => Ok(()),
        }
    }
}
