//! A system whose broker is not known here.

use std::sync::Arc;

use keybearer_core::{Deadline, Error, Missing, Result};
use keybearer_host::Environment;
use keybearer_native::Reachable;

use super::LocalBrokerOptions;

pub(super) async fn find(
    _: &Environment,
    _: &LocalBrokerOptions,
    _: Deadline,
) -> Result<Arc<dyn Reachable>> {
    Err(Error::unavailable(
        Missing::Broker,
        "could not find a broker: none is known on this system",
    ))
}
