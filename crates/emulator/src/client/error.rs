//! What can go wrong with a machine made for a test.

use std::io;
use std::path::PathBuf;

/// Why a machine could not be set up, or its emulator not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaboratoryError {
    /// An HTTP client could not be made.
    #[error("could not make an HTTP client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A control endpoint of the emulator could not be asked, or refused.
    #[error("could not ask the emulator for {path}: {reason}")]
    Control {
        /// The endpoint.
        path: String,
        /// What it answered, or why there is no answer.
        reason: String,
    },
    /// The emulator in this process did not start.
    #[cfg(feature = "server")]
    #[error("could not start the emulator")]
    Emulator(#[from] crate::Error),
    /// A file or directory of the machine could not be read or written.
    #[error("could not use {path}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
    /// A program could not be started, or ended or failed to get ready in time.
    #[error("could not start {program}: {reason}")]
    Program {
        /// The program.
        program: PathBuf,
        /// What happened instead.
        reason: String,
    },
}

impl LaboratoryError {
    pub(crate) fn client(error: reqwest::Error) -> Self {
        Self::Client(Box::new(error))
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }
}
