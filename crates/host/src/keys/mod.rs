//! Where the master key is kept (invariant I4): the desktop's keyring, or a file only the user can
//! read (on Windows one that Windows sealed for the user), or the memory of this process.

mod ephemeral;
#[cfg(unix)]
mod file;
#[cfg(target_os = "macos")]
mod keychain;
#[cfg(all(unix, feature = "keyring"))]
mod keyring;
mod sealed_file;
#[cfg(unix)]
mod select;

pub use ephemeral::EphemeralKeys;
#[cfg(unix)]
pub use file::FileKeys;
#[cfg(target_os = "macos")]
pub use keychain::Keychain;
#[cfg(all(unix, feature = "keyring"))]
pub use keyring::Keyring;
pub use sealed_file::{KeySealer, SealedFileKeys};
#[cfg(unix)]
pub use select::{KeyringAccess, MasterKeys};

use keybearer_core::MasterKey;
use keybearer_engine::Random;
use zeroize::Zeroizing;

/// What keeps the master key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "doctor has a sentence for each")]
pub enum KeyProtection {
    /// The desktop's keyring, which the person's login unlocks.
    Keyring,
    /// A file that only this user can read.
    File,
    /// A file that Windows sealed for this user (DPAPI).
    #[cfg(windows)]
    Sealed,
    /// The memory of this process; nothing survives it.
    Ephemeral,
}

/// A key that never existed before.
fn fresh(random: &dyn Random) -> MasterKey {
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill(&mut *bytes);
    MasterKey::new(*bytes)
}

/// The key these bytes are, if they are one.
fn parse(bytes: &[u8]) -> Option<MasterKey> {
    bytes.try_into().ok().map(MasterKey::new)
}
