use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use keybearer_core::{Error, Result};
use keybearer_engine::{Change, Record, RecordKey, SealedRecord, TokenStore};

use super::{Gate, lock};

/// A store in memory whose commits can fail or stall, and which simulates crashes.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<StoreState>>,
    /// Kept across crashes, for the leak check.
    commits: Arc<Mutex<Vec<Vec<Change>>>>,
}

#[derive(Debug, Default)]
struct StoreState {
    durable: BTreeMap<RecordKey, SealedRecord>,
    fates: VecDeque<CommitFate>,
    unreadable: bool,
}

/// The fate of a commit.
#[derive(Clone, Debug, Default)]
pub enum CommitFate {
    /// It is durable at once.
    #[default]
    Durable,
    /// It is refused and changes nothing.
    Fails,
    /// It waits at the gate, and is then durable.
    StallsBefore(Gate),
    /// It is durable, but reported only after the gate.
    StallsAfter(Gate),
}

impl MemoryStore {
    /// Sets the fate of the next commit that has none yet.
    pub fn next_commit(&self, fate: CommitFate) {
        lock(&self.inner).fates.push_back(fate);
    }

    /// Sets whether records can be read.
    pub fn set_readable(&self, readable: bool) {
        lock(&self.inner).unreadable = !readable;
    }

    /// The store as the next process finds it after a crash. Pending commits of this process have no
    /// effect there.
    #[must_use]
    pub fn after_crash(&self) -> Self {
        let durable = lock(&self.inner).durable.clone();
        let inner = Arc::new(Mutex::new(StoreState { durable, ..StoreState::default() }));
        Self { inner, commits: Arc::clone(&self.commits) }
    }

    /// The number of durable commits, across crashes.
    #[must_use]
    pub fn commits(&self) -> usize {
        lock(&self.commits).len()
    }

    /// Every durable change so far, in order.
    #[must_use]
    pub fn history(&self) -> Vec<Change> {
        lock(&self.commits).iter().flatten().cloned().collect()
    }

    /// The durable records.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let inner = lock(&self.inner);
        let record = |(key, value): (&RecordKey, &SealedRecord)| Record {
            key: key.clone(),
            value: value.clone(),
        };
        inner.durable.iter().map(record).collect()
    }

    /// Adds or replaces a record without the engine.
    pub fn put(&self, record: Record) {
        lock(&self.inner).durable.insert(record.key, record.value);
    }

    /// Flips the last bit of every record whose key begins with `prefix`.
    pub fn damage(&self, prefix: &str) {
        for (key, value) in &mut lock(&self.inner).durable {
            if let (true, Some(last)) = (key.0.starts_with(prefix), value.0.last_mut()) {
                *last ^= 1;
            }
        }
    }

    /// Removes every record whose key begins with `prefix`, without the engine.
    pub fn forget(&self, prefix: &str) {
        lock(&self.inner).durable.retain(|key, _| !key.0.starts_with(prefix));
    }

    fn apply(&self, changes: Vec<Change>) {
        let mut inner = lock(&self.inner);
        for change in &changes {
            match change {
                Change::Put(record) => {
                    inner.durable.insert(record.key.clone(), record.value.clone());
                }
                Change::Delete(key) => {
                    inner.durable.remove(key);
                }
            }
        }
        lock(&self.commits).push(changes);
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn load(&self, after: Option<&RecordKey>) -> Result<Vec<Record>> {
        let mut records = self.records();
        records.retain(|record| after.is_none_or(|after| record.key > *after));
        Ok(records)
    }

    async fn read(&self, key: &RecordKey) -> Result<Option<Record>> {
        let inner = lock(&self.inner);
        if inner.unreadable {
            return Err(
                Error::internal("read the store: input/output error").with_hint("check the disk")
            );
        }
        let value = inner.durable.get(key).cloned();
        Ok(value.map(|value| Record { key: key.clone(), value }))
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<()> {
        let fate = lock(&self.inner).fates.pop_front().unwrap_or_default();
        match fate {
            CommitFate::Durable => self.apply(changes),
            CommitFate::Fails => {
                return Err(Error::internal("write the store: no space left on the device")
                    .with_hint("make room and try again"));
            }
            CommitFate::StallsBefore(gate) => {
                gate.pass().await;
                self.apply(changes);
            }
            CommitFate::StallsAfter(gate) => {
                self.apply(changes);
                gate.pass().await;
            }
        }
        Ok(())
    }
}
