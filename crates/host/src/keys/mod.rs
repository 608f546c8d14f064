//! Where the master key is kept (invariant I4).
//!
//! A place is a file beside this one with a [`KeyPlaceKind`], and a line in [`KINDS`].

mod ephemeral;
#[cfg(unix)]
mod file;
#[cfg(target_os = "macos")]
mod keychain;
#[cfg(all(unix, feature = "keyring"))]
mod keyring;
mod master_keys;
mod place;
mod sealed_file;
mod status;

pub use ephemeral::EphemeralKeys;
#[cfg(target_os = "macos")]
pub use keychain::Keychain;
#[cfg(all(unix, feature = "keyring"))]
pub use keyring::Keyring;
pub(crate) use master_keys::MasterKeys;
pub(crate) use place::KeyContext;
pub use place::{KeyPlace, KeyPlaceKind, NewKey};
pub use sealed_file::KeySealer;
pub use status::{KeyProblem, KeyStatus};

use keybearer_core::MasterKey;
use keybearer_engine::Random;
use zeroize::Zeroizing;

/// Every kind of place. A new key is kept in the first of them that is available and takes it.
static KINDS: &[&KeyPlaceKind] = &[
    #[cfg(target_os = "macos")]
    &keychain::KIND,
    #[cfg(all(unix, not(target_os = "macos"), feature = "keyring"))]
    &keyring::KIND,
    &sealed_file::KIND,
    #[cfg(unix)]
    &file::KIND,
    &ephemeral::KIND,
];

/// A new random key.
fn random_key(random: &dyn Random) -> MasterKey {
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill(&mut *bytes);
    MasterKey::new(*bytes)
}

/// The key in these bytes; `None` if there are not exactly 32.
fn parse(bytes: &[u8]) -> Option<MasterKey> {
    bytes.try_into().ok().map(MasterKey::new)
}
