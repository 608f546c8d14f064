use std::sync::Arc;

use keybearer_engine::{Effects, KeyStore, SignInUi, TokenStore};

use crate::available_ui::FirstAvailableUi;
use crate::browser::Browser;
use crate::clock::SystemClock;
use crate::environment::Environment;
use crate::http::HttpClient;
#[cfg(windows)]
use crate::keys::KeySealer;
use crate::keys::{EphemeralKeys, KeyContext, KeyStatus, MasterKeys};
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
    keys: Arc<MasterKeys>,
}

impl Host {
    /// For the broker: tokens are stored on disk, sealed, and their key in the first
    /// [`KeyPlace`](crate::KeyPlace) that is available. Nothing is opened yet.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[cfg(unix)]
    #[must_use]
    pub fn durable(paths: &Paths, environment: &Environment) -> Self {
        let window = window(environment, Profiles::Kept(paths.state_dir.join("window")));
        Self::on_disk(paths, window, &KeyContext { environment, sealer: None })
    }

    /// For an engine that stores its tokens on disk, sealed, and their key sealed by the system for
    /// this user. Nothing is opened yet. One process at a time may use the state directory, which
    /// the caller has closed to others.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[cfg(windows)]
    #[must_use]
    pub fn durable(paths: &Paths, environment: &Environment, sealer: Arc<dyn KeySealer>) -> Self {
        Self::on_disk(paths, None, &KeyContext { environment, sealer: Some(sealer) })
    }

    fn on_disk(paths: &Paths, window: Option<Arc<dyn SignInUi>>, context: &KeyContext<'_>) -> Self {
        let store = FileStore::new(&paths.state_dir);
        let keys = MasterKeys::here(&paths.state_dir, context, Arc::new(SystemRandom));
        let keys = Arc::new(keys);
        let sign_in_ui = sign_in_ui(context.environment, window);
        let key_store = Arc::clone(&keys) as Arc<dyn KeyStore>;
        let effects = effects(context.environment, sign_in_ui, Arc::new(store.clone()), key_store);
        Self { effects, disk: Some(Disk { store, keys }) }
    }

    /// For an engine inside a program: it stores nothing on disk.
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

    /// The effects for an engine. Their fields may be replaced, for example `sign_in_ui`.
    #[must_use]
    pub fn effects(&self) -> Effects {
        self.effects.clone()
    }

    /// Where the master key is, or why it cannot be read. Makes no key.
    pub async fn key_status(&self) -> KeyStatus {
        match &self.disk {
            Some(disk) => disk.keys.status().await,
            None => EphemeralKeys::status(),
        }
    }

    /// Closes the store permanently, so that another process may open it. Writes under way are
    /// finished before; later uses of the effects return an error.
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

/// Signs people in with their browser, or with a window of ours if there is one.
fn sign_in_ui(environment: &Environment, window: Option<Arc<dyn SignInUi>>) -> Arc<dyn SignInUi> {
    let browser = Arc::new(Browser::new(environment.clone()));
    let browser = Arc::new(LoopbackUi::new(browser, Arc::new(SystemRandom)));
    Arc::new(FirstAvailableUi { environment: environment.clone(), browser, window })
}

/// A sign-in window of ours, whose browser profiles are in `profiles`.
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
        assert_eq!(host.key_status().await, KeyStatus::absent());
        assert!(!paths.state_dir.exists());
        let in_process = Host::in_process(&home);
        assert_eq!(in_process.key_status().await.place, "memory");
        let effects = in_process.effects();
        let (one, two) = (effects.keys.master_key().await, effects.keys.master_key().await);
        assert_eq!(one.unwrap().expose(), two.unwrap().expose());
    }
}
