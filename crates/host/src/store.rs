//! The store on disk: one redb file of sealed records.
//!
//! Invariant I3: redb writes a new version beside the old one and switches with a checksummed
//! header, so after a crash the file opens in the old or the new state. A new file gets its name only
//! when it is a complete database.
//!
//! Opening does not check every page, because that would take most of the broker's start. Damage
//! that goes unnoticed makes redb panic, which is caught, or yields a record that cannot be unsealed,
//! which the engine notices. The whole file is checked before the first write, so damage does not
//! spread.

#[cfg_attr(not(unix), path = "store/holder_unknown.rs")]
mod holder;

use std::fmt;
use std::fs::File;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use keybearer_core::{Error, Result};
use keybearer_engine::{Change, Record, RecordKey, SealedRecord, TokenStore};
use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, TableDefinition,
    TableError,
};

use crate::private_dir::{PrivateDir, private_dir};

/// Keys are UTF-8. The table has bytes, so that one damaged key does not make the others unreadable.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const FILE: &str = "store.redb";
/// All records are read once, at the start. Later a refresh reads and writes one record; with a cache
/// of this size and 1,000 accounts, that reads two or three pages from disk. redb's default of 1 GiB
/// is for servers.
const CACHE_BYTES: usize = 128 * 1024;
/// How many records are returned at a time.
const PAGE: usize = 64;

/// A [`TokenStore`] in the file `store.redb` of a private directory, for one process at a time.
#[derive(Clone, Debug)]
pub struct FileStore(Arc<StoreState>);

#[derive(Debug)]
struct StoreState {
    dir: PathBuf,
    database: Mutex<DatabaseState>,
    notices: Mutex<Vec<StoreNotice>>,
}

#[derive(Debug, Default)]
enum DatabaseState {
    #[default]
    Unopened,
    Open(OpenStore),
    /// Closed permanently; another process may use the file now.
    Closed,
}

/// Damage to the store that a person should know about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreNotice {
    /// The new path of the damaged file.
    pub set_aside: PathBuf,
    /// How many records were read from it and copied to the new file.
    pub recovered: usize,
}

impl fmt::Display for StoreNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, recovered) = (self.set_aside.display(), self.recovered);
        write!(
            f,
            "the token store was damaged; it was renamed to {path}, and {recovered} records were recovered"
        )
    }
}

impl FileStore {
    /// The store of this state directory. Nothing is opened yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self(Arc::new(StoreState {
            dir: state_dir.to_owned(),
            database: Mutex::default(),
            notices: Mutex::default(),
        }))
    }

    /// What happened to the store since this process opened it.
    #[must_use]
    pub fn notices(&self) -> Vec<StoreNotice> {
        self.0.notices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the file permanently after the writes under way, so that another process may open it.
    /// Later uses of the store and its clones return an error.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.0);
        let closing = tokio::task::spawn_blocking(move || inner.close());
        // It fails only if the runtime is shutting down, which closes the file as well.
        let _ = closing.await;
    }

    async fn run<T: Send + 'static>(
        &self,
        verb: &'static str,
        work: impl Fn(&mut OpenStore) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        let task = tokio::task::spawn_blocking(move || inner.run(verb, work));
        task.await.map_err(|error| task_failed(verb, error))?
    }
}

#[async_trait]
impl TokenStore for FileStore {
    async fn load(&self, after: Option<&RecordKey>) -> Result<Vec<Record>> {
        let after = after.cloned();
        self.run("read", move |open| read(&open.database.begin_read()?, after.as_ref(), PAGE)).await
    }

    async fn read(&self, key: &RecordKey) -> Result<Option<Record>> {
        let key = key.clone();
        self.run("read", move |open| read_one(&open.database.begin_read()?, &key)).await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<()> {
        self.run("write", move |open| {
            open.check()?;
            write(&open.database, &changes)
        })
        .await
    }
}

impl StoreState {
    fn database(&self) -> MutexGuard<'_, DatabaseState> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        if let DatabaseState::Open(open) =
            std::mem::replace(&mut *self.database(), DatabaseState::Closed)
        {
            discard(open);
        }
    }

    fn run<T>(
        &self,
        verb: &str,
        work: impl Fn(&mut OpenStore) -> Result<T, redb::Error>,
    ) -> Result<T> {
        let mut database = self.database();
        if matches!(*database, DatabaseState::Closed) {
            return Err(closed(verb));
        }
        let dir = private_dir(&self.dir)?;
        let mut open = match std::mem::take(&mut *database) {
            DatabaseState::Open(open) => open,
            DatabaseState::Unopened | DatabaseState::Closed => self.open(&dir)?,
        };
        let mut outcome = catch(|| work(&mut open));
        if let Err(fault) = &outcome
            && fault.is_damage()
        {
            let salvaged = catch(|| read(&open.database.begin_read()?, None, usize::MAX));
            discard(open);
            open = self.replace(&dir, fault, salvaged)?;
            outcome = catch(|| work(&mut open));
        }
        match outcome {
            Ok(value) => {
                *database = DatabaseState::Open(open);
                Ok(value)
            }
            // redb refuses to work after a failed write, so the next use opens the file again.
            Err(fault) => {
                discard(open);
                Err(unusable(&dir, &format!("{verb} the token store"), fault))
            }
        }
    }

    fn open(&self, dir: &PrivateDir) -> Result<OpenStore> {
        let Some(file) = dir.open_file(FILE)? else { return create(dir, &[]) };
        match existing(file) {
            Ok(database) => Ok(OpenStore { database, checked: false }),
            Err(fault) if fault.is_damage() => {
                let salvaged = dir.open_file(FILE)?.map_or(Ok(Vec::new()), salvage);
                self.replace(dir, &fault, salvaged)
            }
            Err(fault) => Err(unusable(dir, "open the token store", fault)),
        }
    }

    /// Renames a damaged file, and copies the readable records to a new one. The damaged file is
    /// never deleted, although redb's attempt to recover may have changed it. Each record is sealed
    /// separately, so the engine notices a wrong one (invariant I4).
    fn replace(
        &self,
        dir: &PrivateDir,
        fault: &StoreFault,
        salvaged: Result<Vec<Record>, StoreFault>,
    ) -> Result<OpenStore> {
        let aside = set_aside(dir)?;
        let records = salvaged.unwrap_or_default();
        let set_aside = dir.path().join(&aside);
        let notice = StoreNotice { set_aside, recovered: records.len() };
        tracing::warn!(cause = %fault, "{notice}");
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
        create(dir, &records.into_iter().map(Change::Put).collect::<Vec<_>>())
    }
}

struct OpenStore {
    database: Database,
    checked: bool,
}

impl OpenStore {
    /// Verifies the checksums of all pages, on the first call only.
    fn check(&mut self) -> Result<(), redb::Error> {
        if !self.checked {
            self.database.check_integrity()?;
            self.checked = true;
        }
        Ok(())
    }
}

impl fmt::Debug for OpenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenStore")
    }
}

/// Why redb failed.
#[derive(Debug)]
enum StoreFault {
    Refused(Box<redb::Error>),
    /// redb trusts its own pages once open; a damaged one can make it panic.
    Panicked,
    Empty,
}

impl StoreFault {
    fn is_damage(&self) -> bool {
        use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match self {
            Self::Panicked | Self::Empty => true,
            Self::Refused(error) => match &**error {
                redb::Error::Corrupted(_)
                | redb::Error::TableTypeMismatch { .. }
                | redb::Error::TableIsMultimap(_)
                | redb::Error::TypeDefinitionChanged { .. } => true,
                redb::Error::Io(error) => {
                    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
                }
                _ => false,
            },
        }
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Panicked => f.write_str("the file is damaged"),
            Self::Empty => f.write_str("the file is empty"),
        }
    }
}

impl std::error::Error for StoreFault {}

fn catch<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreFault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(StoreFault::Refused(Box::new(error))),
        Err(_) => Err(StoreFault::Panicked),
    }
}

/// Closes a database that may be damaged, which may make redb panic again.
fn discard(open: OpenStore) {
    let _ = catch(|| {
        drop(open);
        Ok(())
    });
}

fn existing(file: File) -> Result<Database, StoreFault> {
    if file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
        return Err(StoreFault::Empty);
    }
    catch(|| database(file))
}

fn database(file: File) -> Result<Database, redb::Error> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    Ok(builder.create_with_backend(FileBackend::new(file)?)?)
}

/// Creates the database under another name, and renames it when it is complete.
fn create(dir: &PrivateDir, changes: &[Change]) -> Result<OpenStore> {
    const UNFINISHED: &str = "store.redb.new";
    dir.remove_file(UNFINISHED)?;
    let file = dir.create_file(UNFINISHED)?;
    let made = catch(|| {
        let database = database(file)?;
        write(&database, changes)?;
        Ok(database)
    });
    let database = made.map_err(|fault| unusable(dir, "create the token store", fault))?;
    if dir.rename_new(UNFINISHED, FILE)? {
        return Ok(OpenStore { database, checked: true });
    }
    dir.remove_file(UNFINISHED)?;
    Err(Error::internal(format!("could not create the token store in {}", dir.path().display()))
        .with_hint("stop the other keybearer process, which has just created one"))
}

type Records = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// `None` before the first write.
fn table(transaction: &redb::ReadTransaction) -> Result<Option<Records>, redb::Error> {
    match transaction.open_table(RECORDS) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read_one(
    transaction: &redb::ReadTransaction,
    key: &RecordKey,
) -> Result<Option<Record>, redb::Error> {
    let Some(table) = table(transaction)? else { return Ok(None) };
    let value = table.get(key.0.as_bytes())?.map(|value| SealedRecord(value.value().to_vec()));
    Ok(value.map(|value| Record { key: key.clone(), value }))
}

/// At most `limit` records after a key.
fn read(
    transaction: &redb::ReadTransaction,
    after: Option<&RecordKey>,
    limit: usize,
) -> Result<Vec<Record>, redb::Error> {
    let Some(table) = table(transaction)? else { return Ok(Vec::new()) };
    let mut records = Vec::new();
    let start = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.0.as_bytes()));
    for entry in table.range::<&[u8]>((start, Bound::Unbounded))? {
        let (key, value) = entry?;
        if records.len() == limit {
            break;
        }
        if let Ok(key) = str::from_utf8(key.value()) {
            let value = SealedRecord(value.value().to_vec());
            records.push(Record { key: RecordKey(key.to_owned()), value });
        }
    }
    Ok(records)
}

fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    // Durable on return: redb's default, `Durability::Immediate`.
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(RECORDS)?;
        for change in changes {
            match change {
                Change::Put(record) => {
                    table.insert(record.key.0.as_bytes(), record.value.0.as_slice())?;
                }
                Change::Delete(key) => {
                    table.remove(key.0.as_bytes())?;
                }
            }
        }
    }
    Ok(transaction.commit()?)
}

/// Reads what is readable of a damaged file, without changing it.
fn salvage(file: File) -> Result<Vec<Record>, StoreFault> {
    catch(|| {
        let backend = FileBackend::new(file)?;
        let database: ReadOnlyDatabase =
            Builder::new().set_cache_size(CACHE_BYTES).open_read_only_with_backend(backend)?;
        read(&database.begin_read()?, None, usize::MAX)
    })
}

fn set_aside(dir: &PrivateDir) -> Result<String> {
    for number in 1..10_000 {
        let aside = format!("{FILE}.damaged-{number}");
        if dir.rename_new(FILE, &aside)? {
            return Ok(aside);
        }
    }
    Err(Error::internal(format!(
        "could not rename the damaged token store in {}",
        dir.path().display()
    ))
    .with_hint("remove the old damaged files there"))
}

fn unusable(dir: &PrivateDir, action: &str, fault: StoreFault) -> Error {
    let shown = dir.path().join(FILE);
    let shown = shown.display();
    let (message, hint) = match &fault {
        StoreFault::Refused(error) if matches!(**error, redb::Error::DatabaseAlreadyOpen) => (
            format!("could not {action} {shown}: {} uses it", holder::of(&dir.path().join(FILE))),
            "stop that process".to_owned(),
        ),
        StoreFault::Refused(error) if matches!(**error, redb::Error::UpgradeRequired(_)) => (
            format!("could not {action} {shown}: another version of keybearer wrote it"),
            format!("use that version, or move {shown} away and sign in again"),
        ),
        _ => (
            format!("could not {action} {shown}"),
            "check the free space and the health of that disk".to_owned(),
        ),
    };
    Error::internal(message).with_source(fault).with_hint(hint)
}

fn closed(verb: &str) -> Error {
    Error::transient(None, format!("could not {verb} the token store: this broker is stopping"))
        .with_hint("try again; the next broker answers")
}

fn task_failed(verb: &str, error: tokio::task::JoinError) -> Error {
    Error::internal(format!("could not {verb} the token store")).with_source(error)
}
