//! On macOS: the single sign-on extension of Company Portal, with the feature
//! `macos-sso-extension` and where there is one; else none.

use std::sync::Arc;
use std::time::Duration;

use keybearer_core::Result;
#[cfg(not(feature = "macos-sso-extension"))]
use keybearer_core::{Error, Missing};
use keybearer_host::Environment;

use super::{LocalBrokerOptions, Reachable};

#[cfg(feature = "macos-sso-extension")]
impl Reachable for crate::macos::ExtensionBroker {
    /// macOS starts the extension for each request.
    fn is_closed(&self) -> bool {
        false
    }
}

#[cfg(feature = "macos-sso-extension")]
pub(super) async fn find(
    _: &Environment,
    _: &LocalBrokerOptions,
    _: Duration,
) -> Result<Arc<dyn Reachable>> {
    let extension = crate::macos::SsoExtension;
    extension.check()?;
    let clock = Arc::new(keybearer_host::SystemClock);
    Ok(Arc::new(crate::macos::ExtensionBroker::new(Arc::new(extension), clock)))
}

#[cfg(not(feature = "macos-sso-extension"))]
pub(super) async fn find(
    _: &Environment,
    _: &LocalBrokerOptions,
    _: Duration,
) -> Result<Arc<dyn Reachable>> {
    let message = "this build does not ask macOS (feature macos-sso-extension)";
    Err(Error::unavailable(Missing::Broker, message))
}
