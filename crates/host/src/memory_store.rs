use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use keybearer_core::Result;
use keybearer_engine::{Change, Record, RecordKey, SealedRecord, TokenStore};

/// A [`TokenStore`] in the memory of this process.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<BTreeMap<RecordKey, SealedRecord>>);

#[async_trait]
impl TokenStore for MemoryStore {
    async fn load(&self, after: Option<&RecordKey>) -> Result<Vec<Record>> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let record = |(key, value): (&RecordKey, &SealedRecord)| Record {
            key: key.clone(),
            value: value.clone(),
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(records.range((start, Bound::Unbounded)).map(record).collect())
    }

    async fn read(&self, key: &RecordKey) -> Result<Option<Record>> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = records.get(key).cloned();
        Ok(value.map(|value| Record { key: key.clone(), value }))
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<()> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Put(record) => records.insert(record.key, record.value),
                Change::Delete(key) => records.remove(&key),
            };
        }
        Ok(())
    }
}
