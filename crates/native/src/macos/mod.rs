//! The single sign-on extension of Company Portal on macOS, behind the feature
//! `macos-sso-extension`. Experimental: it was type-checked and tested against data of the shape that
//! Microsoft's MIT-licensed `microsoft-authentication-library-common-for-objc` writes and reads,
//! and never run.
//!
//! A request is an operation and a flat dictionary of texts; so is the reply. What they say
//! ([`request`], [`reply`]), what errors mean ([`errors`]), and which account is meant ([`broker`])
//! is decided where every system can test it. Only the [`Extension`] itself needs macOS.

mod broker;
mod errors;
#[cfg(all(target_os = "macos", feature = "macos-sso-extension"))]
mod extension;
mod reply;
mod request;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use keybearer_core::Result;

pub use broker::ExtensionBroker;
use request::Operation;

/// The names and values of a request or a reply.
type Dictionary = BTreeMap<String, String>;

/// What performs operations. A future that is dropped gives its operation up.
#[async_trait]
pub(crate) trait Extension: Send + Sync + fmt::Debug {
    /// Performs one, for as long as it takes: the caller has the deadline.
    async fn perform(&self, operation: Operation) -> Result<Dictionary>;
}
