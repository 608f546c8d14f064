//! On Windows the operating system's broker is enough: Web Account Manager, if this Windows has it.
//!
//! No process of ours serves there, so there is no named pipe either. An app without Web Account
//! Manager is told that there is no broker, and a chain of credentials goes on to its next one. A
//! program that asks for an engine of its own (`BrokerChoice::Never`), or keeps what it signs in
//! ([`Persistence::OnDisk`](super::Persistence), as the command line does), signs in with the browser.

use std::sync::Arc;

use keybearer_core::{Deadline, Result};
use keybearer_host::Environment;
use keybearer_native::Reachable;
use keybearer_native::wam::WamBroker;

use super::LocalBrokerOptions;

pub(super) async fn find(
    _: &Environment,
    options: &LocalBrokerOptions,
    deadline: Deadline,
) -> Result<Arc<dyn Reachable>> {
    Ok(Arc::new(WamBroker::find(options.parent_window, deadline).await?))
}
