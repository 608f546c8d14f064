//! The names of the two endpoints.

/// The names by which clients reach the emulator's endpoints.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum HostNames {
    /// `localhost` and the port.
    #[default]
    Loopback,
    /// The names of Azure's public cloud, for clients that accept no other names and no port. The
    /// emulator still listens on loopback; a proxy of the test leads its clients there.
    Azure,
}

impl HostNames {
    /// The names in the certificate besides those of loopback.
    pub(crate) const fn certified(self) -> &'static [&'static str] {
        match self {
            Self::Loopback => &[],
            Self::Azure => {
                &["login.microsoftonline.com", "management.azure.com", "*.blob.core.windows.net"]
            }
        }
    }

    /// Scheme, host and port of the authority that listens at `port`.
    pub(crate) fn authority_host(self, port: u16) -> String {
        match self {
            Self::Loopback => format!("https://localhost:{port}"),
            Self::Azure => "https://login.microsoftonline.com".to_owned(),
        }
    }

    /// The URL of the storage account that listens at `port`.
    pub(crate) fn blob_endpoint(self, port: u16) -> String {
        match self {
            Self::Loopback => format!("https://localhost:{port}{}", self.account_path()),
            Self::Azure => "https://devstoreaccount1.blob.core.windows.net".to_owned(),
        }
    }

    /// The part of the path that names the storage account; empty if the host names it.
    pub(crate) const fn account_path(self) -> &'static str {
        match self {
            Self::Loopback => "/devstoreaccount1",
            Self::Azure => "",
        }
    }
}
