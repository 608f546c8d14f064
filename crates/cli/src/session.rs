//! The connection of a command to the broker.

use std::future::Future;

#[cfg(not(target_os = "linux"))]
use keybearer_client::Persistence;
use keybearer_client::{BrokerChoice, LocalBroker, LocalBrokerOptions};
use keybearer_core::{Error, Result};
use keybearer_host::Environment;

/// The broker of this machine, started if need be. It is required, because a later command must find
/// the account that this one signs in.
#[cfg(target_os = "linux")]
pub(crate) fn broker() -> LocalBroker {
    local(LocalBrokerOptions { choice: BrokerChoice::Required, ..Default::default() })
}

/// The broker for a sign-in with the browser, which is the same here.
#[cfg(target_os = "linux")]
pub(crate) fn browser_broker() -> LocalBroker {
    broker()
}

/// The broker of the operating system, and for accounts it does not know an engine in this process,
/// which signs in with the browser and stores the accounts on disk.
#[cfg(not(target_os = "linux"))]
pub(crate) fn broker() -> LocalBroker {
    local(LocalBrokerOptions { remember: Persistence::OnDisk, ..Default::default() })
}

/// The engine in this process, which signs in with the browser and stores the accounts on disk.
#[cfg(not(target_os = "linux"))]
pub(crate) fn browser_broker() -> LocalBroker {
    let (choice, remember) = (BrokerChoice::Never, Persistence::OnDisk);
    local(LocalBrokerOptions { choice, remember, ..Default::default() })
}

fn local(options: LocalBrokerOptions) -> LocalBroker {
    LocalBroker::new(Environment::current(), options)
}

/// Runs the work on this thread until it ends or the person presses Ctrl-C, which closes the
/// connection; the broker then cancels the requests of that connection.
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
