//! One command's conversation with the broker.

use std::future::Future;

#[cfg(not(target_os = "linux"))]
use keybearer_client::Persistence;
use keybearer_client::{BrokerChoice, LocalBroker, LocalBrokerOptions};
use keybearer_core::{Error, Result};
use keybearer_host::Environment;

/// The broker of this machine, started if need be. A command needs one: what it signs in is to be
/// there for the next.
#[cfg(target_os = "linux")]
pub(crate) fn broker() -> LocalBroker {
    local(LocalBrokerOptions { choice: BrokerChoice::Required, ..Default::default() })
}

/// The broker for a sign-in that is to use the browser: the same.
#[cfg(target_os = "linux")]
pub(crate) fn browser_broker() -> LocalBroker {
    broker()
}

/// The system's own broker, and an engine that keeps what it signs in with the browser, for what that
/// one does not know.
#[cfg(not(target_os = "linux"))]
pub(crate) fn broker() -> LocalBroker {
    local(LocalBrokerOptions { remember: Persistence::OnDisk, ..Default::default() })
}

/// The engine that keeps what it signs in with the browser.
#[cfg(not(target_os = "linux"))]
pub(crate) fn browser_broker() -> LocalBroker {
    let (choice, remember) = (BrokerChoice::Never, Persistence::OnDisk);
    local(LocalBrokerOptions { choice, remember, ..Default::default() })
}

fn local(options: LocalBrokerOptions) -> LocalBroker {
    LocalBroker::new(Environment::current(), options)
}

/// Does the work on this thread, until it is done or the person presses Ctrl-C. Work given up that
/// way closes its connection, at which the broker drops what it did for it.
pub(crate) fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal("could not start a runtime").with_source(error))?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = work => outcome,
            _ = tokio::signal::ctrl_c() => Err(Error::cancelled("interrupted")),
        }
    });
    runtime.shutdown_background();
    outcome
}
