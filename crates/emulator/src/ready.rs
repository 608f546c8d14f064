//! What an emulator reports about itself in `ready.json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a client needs to know: the content of `ready.json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ready {
    /// `https://localhost:P`, without a final slash; or see [`HostNames::Azure`].
    pub authority_host: String,
    /// The id of the first tenant.
    pub tenant: String,
    /// The users that are known in that tenant.
    pub users: Vec<ReadyUser>,
    /// All apps.
    pub apps: Vec<ReadyApp>,
    /// `https://localhost:P2/devstoreaccount1`, without a final slash; or see [`HostNames::Azure`].
    pub blob_endpoint: String,
    /// Where on loopback both listen, whatever they are called.
    pub ports: ReadyPorts,
    /// The PEM file of the authority that signed both endpoints' certificate. Beside it are
    /// `server.pem` and `server.key`, for other servers of the same test.
    pub ca: PathBuf,
    /// The process that serves.
    pub pid: u32,
}

/// Ports on loopback.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReadyPorts {
    /// Of the authority, and of the control endpoints.
    pub authority: u16,
    /// Of the storage account.
    pub blob: u16,
}

/// A user of the fixture.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReadyUser {
    /// The sign-in name.
    pub upn: String,
    /// A password that opens nothing but the emulator.
    pub password: String,
    /// The object id in [`Ready::tenant`]; a guest has another one at home.
    pub oid: String,
}

/// An app of the fixture.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReadyApp {
    /// The app's id.
    pub client_id: String,
    /// What sign-in pages call it.
    pub name: String,
    /// As registered.
    pub redirect_uris: Vec<String>,
}
