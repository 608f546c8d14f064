use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{Error, MasterKey, Missing, Result};
use keybearer_engine::Random;
use security_framework::base::Error as KeychainError;
use security_framework::os::macos::keychain::SecKeychain;
use security_framework::passwords::{get_generic_password, set_generic_password};
use zeroize::Zeroizing;

use super::{KeyPlace, KeyPlaceKind, NewKey, parse, random_key};
use crate::private_dir::PrivateDir;
use crate::random::random_hex;

/// The name of our entries in Keychain Access.
const SERVICE: &str = "Keybearer token store";

const LIMIT: Duration = Duration::from_secs(1);

pub(super) static KIND: KeyPlaceKind = KeyPlaceKind {
    name: "keyring",
    description: "in the login keychain",
    advice: None,
    file: None,
    open: |_| Some(Box::new(Keychain::new())),
};

/// `errSecItemNotFound`
const NOT_FOUND: i32 = -25300;

/// The login keychain of macOS. The person is never prompted: where macOS would prompt, because the
/// keychain is locked or another program made the entry, the call returns an error.
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
impl KeyPlace for Keychain {
    fn kind(&self) -> &'static KeyPlaceKind {
        &KIND
    }

    async fn read(&self, _dir: &PrivateDir, id: &str) -> Result<Option<MasterKey>> {
        const ACTION: &str = "read the key of the token store";
        let id = id.to_owned();
        let found =
            without_windows(ACTION, move || get_generic_password(SERVICE, &id).map(Zeroizing::new));
        match found.await? {
            Ok(bytes) => parse(&bytes).map(Some).ok_or_else(|| {
                Error::unavailable(Missing::Key, "the keychain's entry is not a key")
                    .with_hint(format!("delete the entry `{SERVICE}` in Keychain Access"))
            }),
            Err(error) if error.code() == NOT_FOUND => Ok(None),
            Err(error) => Err(refused(ACTION, error)),
        }
    }

    async fn create(&self, _dir: &PrivateDir, random: &dyn Random) -> Result<NewKey> {
        const ACTION: &str = "keep the key of the token store";
        let (reference, key) = (random_hex(random, 16), random_key(random));
        let (id, bytes) = (reference.clone(), Zeroizing::new(*key.expose()));
        let kept = without_windows(ACTION, move || set_generic_password(SERVICE, &id, &*bytes));
        kept.await?.map_err(|error| refused(ACTION, error))?;
        Ok(NewKey { key, reference })
    }
}

/// Calls the keychain with its windows disabled, for at most [`LIMIT`].
async fn without_windows<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> Result<T, KeychainError> + Send + 'static,
) -> Result<Result<T, KeychainError>> {
    let working = tokio::task::spawn_blocking(move || {
        let _without_windows = SecKeychain::disable_user_interaction()?;
        work()
    });
    match tokio::time::timeout(LIMIT, working).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) => Err(Error::internal(format!("could not {action}")).with_source(error)),
        Err(_) => {
            let message = format!("could not {action}: the keychain does not answer");
            Err(Error::unavailable(Missing::Key, message).with_hint("unlock the login keychain"))
        }
    }
}

fn refused(action: &str, error: KeychainError) -> Error {
    let message = format!("could not {action}: the keychain returned error {}", error.code());
    Error::unavailable(Missing::Key, message).with_source(error).with_hint(
        "unlock the login keychain; if the program was replaced, allow it in Keychain Access",
    )
}
