//! What an emulator reports about itself in `ready.json`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The content of `ready.json`: what a client needs to know.
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
    /// The ports on loopback of both endpoints, also if their names are Azure's.
    pub ports: ReadyPorts,
    /// The PEM file of the authority that signed both endpoints' certificate. The same directory
    /// contains `server.pem` and `server.key`, for other servers of the same test.
    pub ca: PathBuf,
    /// The process that serves.
    pub pid: u32,
}

impl Ready {
    /// Reads what an emulator wrote into its directory. `None` until it is ready.
    #[must_use]
    pub fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(directory.join("ready.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// `localhost:P`, as authorities are named in settings.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.authority_host.trim_start_matches("https://")
    }

    /// The environment variables with which a program trusts this emulator and signs in there. The
    /// libraries of each language read the certificate authority from a variable of their own.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        let ca = || self.ca.clone().into_os_string();
        vec![
            ("SSL_CERT_FILE", ca()),
            ("REQUESTS_CA_BUNDLE", ca()),
            ("NODE_EXTRA_CA_CERTS", ca()),
            ("NO_PROXY", "localhost,127.0.0.1".into()),
            ("no_proxy", "localhost,127.0.0.1".into()),
            ("AZURE_AUTHORITY_HOST", (&self.authority_host).into()),
            ("KEYBEARER_TRUSTED_AUTHORITY_HOSTS", self.authority().into()),
        ]
    }
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
    /// The password, which is valid at the emulator only.
    pub password: String,
    /// The object id in [`Ready::tenant`]; a guest has another one in the home tenant.
    pub oid: String,
}

/// An app of the fixture.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReadyApp {
    /// The app's id.
    pub client_id: String,
    /// Its name on sign-in pages.
    pub name: String,
    /// The registered redirect URIs.
    pub redirect_uris: Vec<String>,
}
