//! On Linux: in WSL the proxy to the Windows broker; else, or if there is no proxy, the brokers of
//! this Linux.

use std::sync::Arc;

use keybearer_core::{Deadline, Result};
use keybearer_host::Environment;
use keybearer_native::Reachable;
use keybearer_native::limit::now;
use keybearer_native::wsl::WslProxyLocator;

use super::LocalBrokerOptions;
use super::linux_brokers::LinuxBrokers;
use super::wsl::{ThroughProxy, error_of_both};

pub(super) async fn find(
    environment: &Environment,
    options: &LocalBrokerOptions,
    deadline: Deadline,
) -> Result<Arc<dyn Reachable>> {
    let proxies = WslProxyLocator::default();
    let linux = LinuxBrokers {
        environment: environment.clone(),
        program_directory: options.program_directory.clone(),
    };
    if !proxies.wanted(environment) {
        return linux.find(deadline).await;
    }
    let missing = match proxies.find(environment, deadline.left(now())).await {
        Ok(proxy) => return Ok(Arc::new(ThroughProxy::new(proxy.program, linux))),
        Err(error) => error,
    };
    tracing::debug!(error = %missing, "there is no proxy to the Windows broker");
    linux.find(deadline).await.map_err(|error| error_of_both(&missing, &error))
}
