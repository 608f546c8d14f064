use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{MasterKey, Result};
use keybearer_engine::Random;

use super::{KINDS, KeySealer};
use crate::environment::Environment;
use crate::private_dir::PrivateDir;

/// A kind of place for the master key, in words and as a constructor.
#[derive(Debug)]
pub struct KeyPlaceKind {
    /// The name in the file `key-location` and in the broker's status. It never changes.
    pub name: &'static str,
    /// Where the key is, to end a sentence with: `in ...`.
    pub description: &'static str,
    /// How a key would be protected better than here; `None` if there is nothing to improve.
    pub advice: Option<&'static str>,
    /// The file of the state directory that contains the key, if one does.
    pub file: Option<&'static str>,
    /// Makes the place; `None` if it is not available here.
    pub(super) open: fn(&KeyContext<'_>) -> Option<Box<dyn KeyPlace>>,
}

impl KeyPlaceKind {
    /// Every kind, in the order of preference.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        KINDS.iter().copied()
    }

    pub(super) fn named(name: &str) -> Option<&'static Self> {
        Self::all().find(|kind| kind.name == name)
    }
}

/// What decides whether a place is available.
#[derive(Clone, Debug)]
pub(crate) struct KeyContext<'a> {
    pub(crate) environment: &'a Environment,
    /// The operating system's way to seal a file for the user, where it has one.
    pub(crate) sealer: Option<Arc<dyn KeySealer>>,
}

/// A place that keeps the master key of a state directory.
///
/// No method prompts the person, and every method returns within about a second.
#[async_trait]
pub trait KeyPlace: Send + Sync + fmt::Debug {
    /// The kind of this place.
    fn kind(&self) -> &'static KeyPlaceKind;

    /// The key that [`create`](Self::create) stored under `reference`; `None` if it is gone.
    ///
    /// # Errors
    /// `Unavailable(Key)` if the key is damaged or the place does not answer or is locked, with the
    /// next step as hint.
    async fn read(&self, dir: &PrivateDir, reference: &str) -> Result<Option<MasterKey>>;

    /// Stores a new key, durable on return. A key that another process stored in the meantime is
    /// returned instead and not replaced.
    ///
    /// # Errors
    /// As [`read`](Self::read), and `Internal` if the key cannot be written.
    async fn create(&self, dir: &PrivateDir, random: &dyn Random) -> Result<NewKey>;

    /// Whether the key under `reference` is there. Unlike [`read`](Self::read), this may succeed
    /// while the place is locked.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    async fn contains(&self, dir: &PrivateDir, reference: &str) -> Result<bool> {
        Ok(self.read(dir, reference).await?.is_some())
    }
}

/// A key that a place has stored.
#[derive(Debug)]
pub struct NewKey {
    /// The key.
    pub key: MasterKey,
    /// What finds it again, without spaces; empty if the place needs nothing.
    pub reference: String,
}
