//! On Linux, in this order: in WSL the proxy to the Windows broker; Keybearer's socket; whoever owns, or can be activated for, the
//! well-known name on the session bus; a Keybearer broker started now.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keybearer_core::{Error, ErrorKind, Missing, Result};
use keybearer_dbus::client::{Activation, BrokerProxy};
use keybearer_host::{Environment, Paths};

use super::wsl::ThroughProxy;
use super::{LocalBrokerOptions, Reachable};
use crate::WslProxyLocator;
use crate::start::{find_program, start_broker};

impl Reachable for BrokerProxy {
    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }

    fn is_keybearer(&self) -> bool {
        self.is_on_socket()
    }
}

/// A broker that does not even shake hands in this time is as good as absent.
const SOCKET_LIMIT: Duration = Duration::from_secs(3);

/// The same for one that the session bus may have to start. Microsoft's clients wait as long for
/// Microsoft's broker.
const BUS_LIMIT: Duration = Duration::from_secs(6);

pub(super) async fn find(
    environment: &Environment,
    options: &LocalBrokerOptions,
    limit: Duration,
) -> Result<Arc<dyn Reachable>> {
    let places = WslProxyLocator::default();
    let native = LinuxBrokers {
        environment: environment.clone(),
        program_directory: options.program_directory.clone(),
    };
    if !places.wanted(environment) {
        return native.find(limit).await;
    }
    let missing = match places.find(environment, limit).await {
        Ok(proxy) => return Ok(Arc::new(ThroughProxy::new(proxy.program, native))),
        Err(error) => error,
    };
    tracing::debug!(error = %missing, "no way to the Windows broker");
    native.find(limit).await.map_err(|error| error_of_both(&missing, &error))
}

/// Windows comes first, so what to do about it does too.
pub(super) fn error_of_both(windows: &Error, native: &Error) -> Error {
    let message = format!("{}; {}", windows.message(), native.message());
    let hints: Vec<&str> = [windows.hint(), native.hint()].into_iter().flatten().collect();
    let error = Error::new(native.kind().clone(), message);
    if hints.is_empty() { error } else { error.with_hint(hints.join("; or ")) }
}

/// Where brokers of this Linux are, whatever it runs in.
#[derive(Debug)]
pub(super) struct LinuxBrokers {
    environment: Environment,
    program_directory: Option<PathBuf>,
}

impl LinuxBrokers {
    pub(super) async fn find(&self, limit: Duration) -> Result<Arc<dyn Reachable>> {
        let mut tried: Vec<String> = Vec::new();
        let mut absent = |error: Error| match error.kind() {
            ErrorKind::Unavailable(Missing::Broker) => {
                tracing::debug!(%error, "no broker here");
                tried.push(error.message());
                Ok(error)
            }
            _ => Err(error),
        };
        let (runtime_dir, socket) = Paths::meeting_place(&self.environment);
        let (begun, socket_limit) = (Instant::now(), limit.min(SOCKET_LIMIT));
        match BrokerProxy::connect_socket(&socket, socket_limit).await {
            Err(error) => drop(absent(error)?),
            found => return Ok(Arc::new(found?)),
        }
        let is_silent = begun.elapsed() >= socket_limit;
        if let Some(address) = self.environment.session_bus_address() {
            let limit = limit.min(BUS_LIMIT);
            match BrokerProxy::connect_bus(&address, Activation::Start, limit).await {
                // Who listens at our socket and says nothing may well have the name on the bus, too.
                // Another one could not be started beside it.
                Ok(found) if is_silent && !answers(&found).await => return Err(stuck(&found)),
                Ok(found) => return Ok(Arc::new(found)),
                Err(error) => drop(absent(error)?),
            }
        }
        let own = std::env::current_exe().ok();
        let hint = match find_program(
            &self.environment,
            own.as_deref(),
            self.program_directory.as_deref(),
        ) {
            None => {
                tried.push("the keybearer program is not installed".to_owned());
                Some("install the keybearer program, or put it on PATH".to_owned())
            }
            Some(program) => match start_broker(&program, &runtime_dir, limit).await {
                Ok(()) => {
                    let started = BrokerProxy::connect_socket(&socket, SOCKET_LIMIT).await?;
                    return Ok(Arc::new(started));
                }
                Err(error) => absent(error)?.hint().map(str::to_owned),
            },
        };
        let message = format!("find a broker: {}", tried.join("; "));
        let error = Error::unavailable(Missing::Broker, message);
        Err(match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }
}

/// Whether the broker says anything at all; an error is an answer.
async fn answers(broker: &BrokerProxy) -> bool {
    let version = broker.version(SOCKET_LIMIT).await;
    !version.is_err_and(|error| *error.kind() == ErrorKind::TimedOut)
}

fn stuck(broker: &BrokerProxy) -> Error {
    Error::unavailable(Missing::Broker, "find a broker: the one that runs does not answer")
        .with_hint(format!(
            "end process {}, which is the broker, or let it go on",
            broker.process().pid
        ))
}
