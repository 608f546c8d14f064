//! The brokers of this Linux, in this order: Keybearer's socket; the owner of the well-known name on
//! the session bus, activated if it can be; a Keybearer broker started now.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{Deadline, Error, ErrorKind, Missing, Result};
use keybearer_dbus::client::{Activation, BrokerProxy};
use keybearer_host::{Environment, Paths};
use keybearer_native::Reachable;
use keybearer_native::limit::now;

use crate::start::{SEE_WHY, find_program, start_broker};

/// A broker that does not complete the handshake in this time counts as absent.
const SOCKET_LIMIT: Duration = Duration::from_secs(3);

/// The same for a broker that the session bus may have to start. Microsoft's clients wait as long
/// for Microsoft's broker.
const BUS_LIMIT: Duration = Duration::from_secs(6);

/// Where the brokers of this Linux are, also if it runs in WSL.
#[derive(Debug)]
pub(super) struct LinuxBrokers {
    pub(super) environment: Environment,
    pub(super) program_directory: Option<PathBuf>,
}

/// The places where no broker was found, for the error if there is none at all.
#[derive(Default)]
struct Tried(Vec<String>);

impl LinuxBrokers {
    pub(super) async fn find(&self, deadline: Deadline) -> Result<Arc<dyn Reachable>> {
        let mut tried = Tried::default();
        let (runtime_dir, socket) = Paths::meeting_place(&self.environment);
        let begun = now();
        let socket_limit = deadline.left(begun).min(SOCKET_LIMIT);
        let found = BrokerProxy::connect_socket(&socket, socket_limit).await;
        if let Ok(broker) = tried.note(found)? {
            return Ok(Arc::new(broker));
        }
        let is_silent = now() - begun >= socket_limit;
        if let Some(address) = self.environment.session_bus_address() {
            let limit = deadline.left(now()).min(BUS_LIMIT);
            let found = BrokerProxy::connect_bus(&address, Activation::Start, limit).await;
            match tried.note(found)? {
                // A process that listens on our socket and says nothing may well own the name on the
                // bus, too. Another broker could not be started beside it.
                Ok(broker) if is_silent && !answers(&broker).await => return Err(stuck(&broker)),
                Ok(broker) => return Ok(Arc::new(broker)),
                Err(_) => {}
            }
        }
        let Some(program) = self.program() else {
            tried.0.push("the keybearer program is not installed".to_owned());
            return Err(tried.error("install the keybearer program, or put it on PATH"));
        };
        match tried.note(start_broker(&program, &runtime_dir, deadline.left(now())).await)? {
            Ok(()) => Ok(Arc::new(BrokerProxy::connect_socket(&socket, SOCKET_LIMIT).await?)),
            Err(error) => Err(tried.error(error.hint().unwrap_or(SEE_WHY))),
        }
    }

    fn program(&self) -> Option<PathBuf> {
        let own = std::env::current_exe().ok();
        find_program(&self.environment, own.as_deref(), self.program_directory.as_deref())
    }
}

impl Tried {
    /// Notes that there is no broker here; any other error ends the search.
    fn note<T>(&mut self, found: Result<T>) -> Result<Result<T>> {
        match found {
            Err(error) if *error.kind() == ErrorKind::Unavailable(Missing::Broker) => {
                tracing::debug!(%error, "there is no broker here");
                self.0.push(error.message());
                Ok(Err(error))
            }
            Err(error) => Err(error),
            Ok(found) => Ok(Ok(found)),
        }
    }

    fn error(&self, hint: &str) -> Error {
        let message = format!("could not find a broker: {}", self.0.join("; "));
        Error::unavailable(Missing::Broker, message).with_hint(hint)
    }
}

/// Whether the broker says anything at all; an error is an answer.
async fn answers(broker: &BrokerProxy) -> bool {
    let version = broker.version(SOCKET_LIMIT).await;
    !version.is_err_and(|error| *error.kind() == ErrorKind::TimedOut)
}

fn stuck(broker: &BrokerProxy) -> Error {
    let pid = broker.process().pid;
    let message = format!("the broker (process {pid}) is not responding");
    Error::unavailable(Missing::Broker, message)
        .with_hint(format!("kill process {pid}, or resume it"))
}
