//! On macOS: the single sign-on extension of Company Portal, with the feature
//! `macos-sso-extension` and where there is one; else none.

use std::sync::Arc;

use keybearer_core::{Deadline, Result};
#[cfg(not(feature = "macos-sso-extension"))]
use keybearer_core::{Error, Missing};
use keybearer_host::Environment;
use keybearer_native::Reachable;

use super::LocalBrokerOptions;

#[cfg(feature = "macos-sso-extension")]
pub(super) async fn find(
    _: &Environment,
    _: &LocalBrokerOptions,
    _: Deadline,
) -> Result<Arc<dyn Reachable>> {
    Ok(Arc::new(keybearer_native::macos::ExtensionBroker::find()?))
}

#[cfg(not(feature = "macos-sso-extension"))]
pub(super) async fn find(
    _: &Environment,
    _: &LocalBrokerOptions,
    _: Deadline,
) -> Result<Arc<dyn Reachable>> {
    let message = "this build cannot use the broker of macOS (feature macos-sso-extension)";
    Err(Error::unavailable(Missing::Broker, message))
}
