use std::sync::Arc;

use keybearer_core::Result;
use keybearer_engine::{Effects, KeyStore, SignInUi, TokenStore};

use crate::available_ui::FirstAvailableUi;
use crate::browser::Browser;
use crate::clock::SystemClock;
use crate::environment::Environment;
use crate::http::HttpClient;
use crate::keys::{EphemeralKeys, KeyProtection};
#[cfg(windows)]
use crate::keys::{KeySealer, SealedFileKeys};
#[cfg(unix)]
use crate::keys::{KeyringAccess, MasterKeys};
use crate::loopback::LoopbackUi;
use crate::memory_store::MemoryStore;
use crate::paths::Paths;
use crate::random::SystemRandom;
use crate::spawner::RuntimeSpawner;
use crate::store::{FileStore, StoreNotice};
#[cfg(unix)]
use crate::window::{Profiles, WindowUi};

/// The effects of an engine on this machine, and what a person may want to know about them.
#[derive(Clone, Debug)]
pub struct Host {
    effects: Effects,
    disk: Option<Disk>,
}

#[derive(Clone, Debug)]
struct Disk {
    store: FileStore,
    #[cfg(unix)]
    keys: Arc<MasterKeys>,
    #[cfg(windows)]
    keys: Arc<SealedFileKeys>,
}

impl Host {
    /// For the broker: tokens are kept on disk, sealed, and their key in the keyring (feature
    /// `keyring`) or a file. Nothing is opened yet.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[cfg(unix)]
    #[must_use]
    pub fn durable(paths: &Paths, environment: &Environment) -> Self {
        let store = FileStore::new(&paths.state_dir);
        let random = Arc::new(SystemRandom);
        let keys = Arc::new(MasterKeys::new(&paths.state_dir, keyring(environment), random));
        let kept: Arc<dyn TokenStore> = Arc::new(store.clone());
        let window = window(environment, Profiles::Kept(paths.state_dir.join("window")));
        let sign_in_ui = sign_in_ui(environment, window);
        let keys_of = Arc::clone(&keys) as Arc<dyn KeyStore>;
        let effects = effects(environment, sign_in_ui, kept, keys_of);
        Self { effects, disk: Some(Disk { store, keys }) }
    }

    /// For an engine that keeps its tokens on disk, sealed, and their key sealed by the system for
    /// this user. Nothing is opened yet. One process at a time may use the state directory, which
    /// the caller has closed to others.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[cfg(windows)]
    #[must_use]
    pub fn durable(paths: &Paths, environment: &Environment, sealer: Arc<dyn KeySealer>) -> Self {
        let store = FileStore::new(&paths.state_dir);
        let keys = SealedFileKeys::new(&paths.state_dir, sealer, Arc::new(SystemRandom));
        let keys = Arc::new(keys);
        let kept: Arc<dyn TokenStore> = Arc::new(store.clone());
        let sign_in_ui = sign_in_ui(environment, None);
        let keys_of = Arc::clone(&keys) as Arc<dyn KeyStore>;
        let effects = effects(environment, sign_in_ui, kept, keys_of);
        Self { effects, disk: Some(Disk { store, keys }) }
    }

    /// For an engine inside a program: nothing outlives the process.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn in_process(environment: &Environment) -> Self {
        let keys = Arc::new(EphemeralKeys::new(&SystemRandom));
        let sign_in_ui = sign_in_ui(environment, temporary_window(environment));
        let effects = effects(environment, sign_in_ui, Arc::new(MemoryStore::default()), keys);
        Self { effects, disk: None }
    }

    /// What the engine is given; its fields may be replaced, such as the sign_in_ui.
    #[must_use]
    pub fn effects(&self) -> Effects {
        self.effects.clone()
    }

    /// What keeps the master key, or `None` as long as there is none.
    ///
    /// # Errors
    /// `Internal` or `Unavailable(Key)` if that cannot be found out.
    pub fn protection(&self) -> Result<Option<KeyProtection>> {
        match &self.disk {
            Some(disk) => disk.protection(),
            None => Ok(Some(KeyProtection::Ephemeral)),
        }
    }

    /// Closes the store for good, so that another process may open it, whoever still has the
    /// effects: those are refused from then on. What is being written is written before.
    pub async fn close(&self) {
        if let Some(disk) = &self.disk {
            disk.store.close().await;
        }
    }

    /// What happened to the store since it was opened.
    #[must_use]
    pub fn notices(&self) -> Vec<StoreNotice> {
        self.disk.as_ref().map_or_else(Vec::new, |disk| disk.store.notices())
    }
}

impl Disk {
    #[cfg(unix)]
    fn protection(&self) -> Result<Option<KeyProtection>> {
        self.keys.protection()
    }

    #[cfg(windows)]
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    fn protection(&self) -> Result<Option<KeyProtection>> {
        Ok(self.keys.exists().then_some(KeyProtection::Sealed))
    }
}

fn effects(
    environment: &Environment,
    sign_in_ui: Arc<dyn SignInUi>,
    store: Arc<dyn TokenStore>,
    keys: Arc<dyn KeyStore>,
) -> Effects {
    Effects {
        http: Arc::new(HttpClient::new(environment)),
        clock: Arc::new(SystemClock),
        sign_in_ui,
        random: Arc::new(SystemRandom),
        store,
        keys,
        spawner: Arc::new(RuntimeSpawner::current()),
    }
}

/// The ways to sign a person in.
fn sign_in_ui(environment: &Environment, window: Option<Arc<dyn SignInUi>>) -> Arc<dyn SignInUi> {
    let browser = Arc::new(Browser::new(environment.clone()));
    let browser = Arc::new(LoopbackUi::new(browser, Arc::new(SystemRandom)));
    Arc::new(FirstAvailableUi { environment: environment.clone(), browser, window })
}

/// Windows of our own keep what they remember in `profiles`.
#[cfg(unix)]
fn window(environment: &Environment, profiles: Profiles) -> Option<Arc<dyn SignInUi>> {
    let random = Arc::new(SystemRandom);
    Some(Arc::new(WindowUi::new(environment.clone(), profiles, random)))
}

#[cfg(unix)]
fn temporary_window(environment: &Environment) -> Option<Arc<dyn SignInUi>> {
    let temporary = environment.value("TMPDIR").unwrap_or_else(|| "/tmp".as_ref());
    window(environment, Profiles::Temporary(temporary.into(), Arc::new(SystemRandom)))
}

#[cfg(not(unix))]
fn temporary_window(_environment: &Environment) -> Option<Arc<dyn SignInUi>> {
    None
}

/// The login keychain.
#[cfg(target_os = "macos")]
fn keyring(_environment: &Environment) -> Option<Arc<dyn KeyringAccess>> {
    Some(Arc::new(crate::keys::Keychain::new()))
}

/// The keyring on this environment's session bus, which need not be the process's own.
#[cfg(all(unix, not(target_os = "macos"), feature = "keyring"))]
fn keyring(environment: &Environment) -> Option<Arc<dyn KeyringAccess>> {
    let address = environment.session_bus_address()?;
    Some(Arc::new(crate::keys::Keyring::at(address)))
}

#[cfg(all(unix, not(target_os = "macos"), not(feature = "keyring")))]
fn keyring(_environment: &Environment) -> Option<Arc<dyn KeyringAccess>> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn making_the_effects_opens_nothing_and_costs_next_to_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let home = Environment::from_pairs([("HOME", temporary.path())]);
        let paths = Paths::current(&home).unwrap();
        let started = Instant::now();
        let host = Host::durable(&paths, &home);
        assert!(started.elapsed() < Duration::from_millis(20));
        assert!(host.notices().is_empty());
        assert_eq!(host.protection().unwrap(), None);
        assert!(!paths.state_dir.exists());
        let in_process = Host::in_process(&home);
        assert_eq!(in_process.protection().unwrap(), Some(KeyProtection::Ephemeral));
        let effects = in_process.effects();
        let (one, two) = (effects.keys.master_key().await, effects.keys.master_key().await);
        assert_eq!(one.unwrap().expose(), two.unwrap().expose());
    }
}
