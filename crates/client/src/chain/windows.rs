//! On Windows the operating system's broker is enough: Web Account Manager, if this Windows has it.
//!
//! No Keybearer process serves there, so there is no named pipe either. Without Web Account Manager an
//! app gets `Unavailable`, and a chain of credentials tries its next one. A program that asks for an
//! engine in its process (`BrokerChoice::Never`), or keeps what it signs in
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
