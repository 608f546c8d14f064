//! In WSL: the Windows broker, or this Linux's own brokers if the Windows broker cannot be reached.

use std::path::PathBuf;
use std::sync::Arc;

use keybearer_core::{
    Broker, BrokerRequest, CancelRequest, Deadline, Error, ErrorKind, Forward, Missing, Repeat,
    Result,
};
use keybearer_native::limit::within;
use keybearer_native::wsl::ProxyBroker;
use keybearer_native::{Checked, Reachable};
use tokio::sync::Mutex;

use super::linux_brokers::LinuxBrokers;

/// Asks the proxy. Once the proxy shows that it cannot work here (it does not start, gives no
/// answer, or can show no dialog), this process stays with a broker of this Linux. Nothing has been
/// done by then that would be done twice, and accounts do not come and go from call to call.
#[derive(Debug)]
pub(super) struct ThroughProxy {
    proxy: Checked<ProxyBroker>,
    linux: LinuxBrokers,
    instead: Mutex<Option<Arc<dyn Reachable>>>,
}

impl ThroughProxy {
    pub(super) fn new(program: PathBuf, linux: LinuxBrokers) -> Self {
        Self { proxy: ProxyBroker::new(program), linux, instead: Mutex::default() }
    }

    async fn find_instead(&self, deadline: Deadline) -> Result<Arc<dyn Reachable>> {
        let late = || Error::timed_out("timed out looking for the broker");
        let broker = within(deadline, late, self.linux.find(deadline)).await?;
        *self.instead.lock().await = Some(Arc::clone(&broker));
        Ok(broker)
    }
}

/// Windows was not asked, or cannot show a dialog here.
fn cannot_work(error: &Error) -> bool {
    let ErrorKind::Unavailable(missing) = error.kind() else { return false };
    matches!(missing, Missing::Broker | Missing::UserInterface)
}

/// Windows is asked first, so its message and its hint come first.
pub(super) fn error_of_both(windows: &Error, linux: &Error) -> Error {
    let message = format!("{}; {}", windows.message(), linux.message());
    let hints: Vec<&str> = [windows.hint(), linux.hint()].into_iter().flatten().collect();
    let error = Error::new(linux.kind().clone(), message);
    if hints.is_empty() { error } else { error.with_hint(hints.join("; or ")) }
}

impl Reachable for ThroughProxy {
    /// Each call finds a broker if necessary.
    fn is_closed(&self) -> bool {
        false
    }
}

impl Forward for ThroughProxy {
    fn forward_name(&self) -> &str {
        self.proxy.name()
    }

    async fn forward<R: BrokerRequest>(&self, request: R) -> Result<R::Reply> {
        let deadline = request.deadline();
        let instead = self.instead.lock().await.clone();
        let broker = match instead {
            Some(broker) if !broker.is_closed() => broker,
            Some(_) => self.find_instead(deadline).await?,
            None => match request.clone().ask(&self.proxy).await {
                Err(reason) if cannot_work(&reason) => {
                    tracing::debug!(error = %reason, "the Windows broker cannot be reached");
                    let found = self.find_instead(deadline).await;
                    found.map_err(|error| error_of_both(&reason, &error))?
                }
                outcome => return outcome,
            },
        };
        let outcome = request.clone().ask(&*broker).await;
        if outcome.is_err() && broker.is_closed() && R::REPEAT == Repeat::Once {
            return request.ask(&*self.find_instead(deadline).await?).await;
        }
        outcome
    }

    /// The sign-ins may be at either broker.
    async fn forward_cancel(&self, request: CancelRequest) -> Result<()> {
        let instead = self.instead.lock().await.clone();
        self.proxy.cancel(request.clone()).await?;
        match instead {
            Some(instead) => instead.cancel(request).await,
            None => Ok(()),
        }
    }
}
