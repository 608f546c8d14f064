use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{Error, MasterKey, Missing, Result};
use security_framework::base::Error as KeychainError;
use security_framework::os::macos::keychain::SecKeychain;
use security_framework::passwords::{get_generic_password, set_generic_password};
use zeroize::Zeroizing;

use super::KeyringAccess;
use super::parse;

/// What entries of ours are called in Keychain Access.
const SERVICE: &str = "Keybearer token store";

const LIMIT: Duration = Duration::from_secs(1);

/// `errSecItemNotFound`
const NOT_FOUND: i32 = -25300;

/// The login keychain of macOS. Nobody is prompted: where macOS would ask the person, because the
/// keychain is locked or the program is another one than the one that made the entry, there is an
/// error instead.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Keychain;

impl Keychain {
    /// The keychain of this user. Nothing is opened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl KeyringAccess for Keychain {
    async fn find(&self, id: &str) -> Result<Option<MasterKey>> {
        let id = id.to_owned();
        let found = quietly("read the key of the token store", move || {
            get_generic_password(SERVICE, &id).map(Zeroizing::new)
        });
        match found.await? {
            Ok(bytes) => parse(&bytes).map(Some).ok_or_else(|| {
                Error::unavailable(Missing::Key, "the keychain's entry is not a key")
                    .with_hint(format!("delete the entry `{SERVICE}` in Keychain Access"))
            }),
            Err(error) if error.code() == NOT_FOUND => Ok(None),
            Err(error) => Err(refused("read the key of the token store", error)),
        }
    }

    async fn keep(&self, id: &str, key: &MasterKey) -> Result<()> {
        let (id, bytes) = (id.to_owned(), Zeroizing::new(*key.expose()));
        let kept = quietly("keep the key of the token store", move || {
            set_generic_password(SERVICE, &id, &*bytes)
        });
        kept.await?.map_err(|error| refused("keep the key of the token store", error))
    }
}

/// Does work at the keychain, without windows and not for long.
async fn quietly<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, KeychainError> + Send + 'static,
) -> Result<Result<T, KeychainError>> {
    let working = tokio::task::spawn_blocking(move || {
        let _without_windows = SecKeychain::disable_user_interaction()?;
        work()
    });
    match tokio::time::timeout(LIMIT, working).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) => Err(Error::internal(what).with_source(error)),
        Err(_) => Err(Error::unavailable(Missing::Key, format!("{what}: no answer in time"))),
    }
}

fn refused(what: &str, error: KeychainError) -> Error {
    let message = format!("{what}: the keychain answered with {}", error.code());
    Error::unavailable(Missing::Key, message).with_source(error).with_hint(
        "unlock the login keychain; if the program was replaced, allow it in Keychain Access",
    )
}
