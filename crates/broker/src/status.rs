use std::fmt;
use std::path::PathBuf;

use keybearer_dbus::interface::BUS_NAME;
use keybearer_host::KeyStatus;
use serde::{Deserialize, Serialize};

use crate::service::Service;

/// What a broker reports about itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The process id.
    pub pid: u32,
    /// The version of the running broker, which an update of the program does not replace.
    pub version: String,
    /// Where it listens.
    pub socket: PathBuf,
    /// Its state on the session bus.
    pub bus: BusStatus,
    /// What protects the key of the token store.
    #[serde(flatten)]
    pub key: KeyStatus,
    /// The state directory, with the token store.
    pub store: PathBuf,
    /// How many accounts are connected.
    pub accounts: usize,
    /// How many clients are on the socket.
    pub clients: usize,
    /// A line for each way by which requests reach the broker. A broker of an older version sends
    /// none.
    #[serde(default)]
    pub doors: Vec<DoorStatus>,
    /// What a person should know, in sentences.
    pub notices: Vec<String>,
}

/// What `broker status` shows about one way by which requests reach the broker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DoorStatus {
    /// Its name, in one word.
    pub name: String,
    /// Its state, in words.
    pub state: String,
}

/// A broker's state on the session bus.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BusStatus {
    /// There is no session bus.
    Absent,
    /// The broker is connecting.
    Connecting,
    /// The broker has the well-known name.
    Owned,
    /// Another program has the name, and keeps it.
    Taken(NameHolder),
    /// The bus cannot be used.
    Failed {
        /// Why not.
        reason: String,
    },
    /// The bus has ended.
    Lost,
}

/// The program that has the broker's name on the session bus.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NameHolder {
    /// Its unique name on the bus.
    pub unique_name: String,
    /// Its process id, if the bus reports it.
    pub pid: Option<u32>,
    /// Its program, if the system reports it.
    pub executable: Option<PathBuf>,
}

impl fmt::Display for BusStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no session bus"),
            Self::Connecting => f.write_str("connecting to the session bus"),
            Self::Owned => write!(f, "has the name {BUS_NAME}"),
            Self::Taken(holder) => write!(f, "{holder} has the name {BUS_NAME}, and keeps it"),
            Self::Failed { reason } => write!(f, "the session bus cannot be used: {reason}"),
            Self::Lost => f.write_str("the session bus has ended"),
        }
    }
}

impl fmt::Display for NameHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.executable, self.pid) {
            (Some(program), Some(pid)) => write!(f, "{} (process {pid})", program.display()),
            (None, Some(pid)) => write!(f, "process {pid}"),
            (_, None) => write!(f, "the connection {}", self.unique_name),
        }
    }
}

impl Status {
    pub(crate) fn add_door(&mut self, name: &str, state: String) {
        self.doors.push(DoorStatus { name: name.to_owned(), state });
    }
}

impl Service {
    /// The status of this broker.
    pub(crate) async fn status(&self) -> Status {
        let mut status = Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            socket: self.paths.socket.clone(),
            bus: BusStatus::Absent,
            key: self.host.key_status().await,
            store: self.paths.state_dir.clone(),
            accounts: self.engine.account_count(),
            clients: 0,
            doors: Vec::new(),
            notices: self.notices(),
        };
        for door in &self.doors {
            door.report(&mut status);
        }
        status
    }

    fn notices(&self) -> Vec<String> {
        let damaged = self.host.notices().into_iter().map(|notice| notice.to_string());
        let unreadable = match self.engine.unreadable_records() {
            0 => None,
            count => Some(format!(
                "{count} stored records cannot be read; their accounts must sign in again"
            )),
        };
        damaged.chain(unreadable).collect()
    }
}
