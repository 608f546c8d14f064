//! Doubles of the engine's effects.

mod caller_ui;
mod clock;
mod gate;
mod http;
mod keys;
mod person;
mod random;
mod spawner;
mod store;

pub use caller_ui::{ScriptedCallerUi, Shown};
pub use clock::ManualClock;
pub use gate::Gate;
pub use http::{Action, Rule, ScriptedHttp, SentRequest};
pub use keys::FixedKeys;
pub use person::{Conduct, Pick, ScriptedPerson, Seen};
pub use random::SeededRandom;
pub use spawner::TokioSpawner;
pub use store::{CommitFate, MemoryStore};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also if a failed test has poisoned the lock: the first failure is the one to report.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
