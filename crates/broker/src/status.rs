use std::path::PathBuf;

use keybearer_host::KeyProtection;
use serde::{Deserialize, Serialize};

use crate::service::Service;

/// What a broker says about itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct Status {
    /// The process.
    pub pid: u32,
    /// Of the broker that runs, which an update does not replace.
    pub version: String,
    /// Where it listens.
    pub socket: PathBuf,
    /// Its place on the session bus.
    pub bus: BusStatus,
    /// What protects the key of the token store.
    pub key: KeyStatus,
    /// The state directory, with the token store.
    pub store: PathBuf,
    /// How many accounts are connected.
    pub accounts: usize,
    /// How many clients are on the socket.
    pub clients: usize,
    /// What a person should know, in sentences.
    pub notices: Vec<String>,
}

/// A broker's place on the session bus.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "status has a sentence for each")]
pub enum BusStatus {
    /// There is no session bus.
    Absent,
    /// It is connecting.
    Connecting,
    /// It has the broker's name.
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

/// The program that has the broker's name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct NameHolder {
    /// Its unique name on the bus.
    pub unique_name: String,
    /// Its process id, if the bus tells.
    pub pid: Option<u32>,
    /// Its program, if the system tells.
    pub executable: Option<PathBuf>,
}

/// What protects the key of the token store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "doctor has a sentence for each")]
pub enum KeyStatus {
    /// The desktop's keyring.
    Keyring,
    /// A file only this user can read.
    File,
    /// Nothing: it ends with the process.
    Memory,
    /// It could not be found out.
    Unknown,
}

impl From<Option<KeyProtection>> for KeyStatus {
    fn from(protection: Option<KeyProtection>) -> Self {
        match protection {
            Some(KeyProtection::Keyring) => Self::Keyring,
            Some(KeyProtection::File) => Self::File,
            Some(KeyProtection::Ephemeral) => Self::Memory,
            None => Self::Unknown,
        }
    }
}

/// How the program shows in a sentence.
impl std::fmt::Display for NameHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.executable, self.pid) {
            (Some(program), Some(pid)) => write!(f, "{} (process {pid})", program.display()),
            (None, Some(pid)) => write!(f, "process {pid}"),
            (_, None) => write!(f, "the connection {}", self.unique_name),
        }
    }
}

impl Service {
    /// How this broker is.
    pub(crate) fn status(&self) -> Status {
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            socket: self.paths.socket.clone(),
            bus: self.bus_status(),
            key: self.host.protection().ok().flatten().into(),
            store: self.paths.state_dir.clone(),
            accounts: self.engine.account_count(),
            clients: self.connections.count(),
            notices: self.notices(),
        }
    }

    fn notices(&self) -> Vec<String> {
        let damaged = self.host.notices().into_iter().map(|notice| notice.to_string());
        let unreadable = match self.engine.unreadable_records() {
            0 => None,
            count => Some(format!(
                "{count} stored records cannot be read; their accounts have to sign in again"
            )),
        };
        damaged.chain(unreadable).collect()
    }
}
