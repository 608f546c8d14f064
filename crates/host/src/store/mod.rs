//! The store on disk: a log of sealed records in one file of a private directory.
//!
//! Promise I3: a commit is in the file whole or not at all, whatever happens to the process or the
//! machine. Damage to the file is noticed when it is opened, and costs only the records whose values
//! it touched: the damaged file is kept beside the new one, and a [`StoreNotice`] says what was lost.
//!
//! The file is read whole when it is opened. That takes 10 ms for 10,000 accounts, and is what finds
//! damage before anything is built upon it. Afterwards a record is read when it is asked for.

#[cfg(test)]
mod damage;
mod frame;
mod header;
#[cfg_attr(not(unix), path = "holder_unknown.rs")]
mod holder;
mod log;
mod notice;
mod scan;

use std::borrow::Cow;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use keybearer_core::{Error, Result};
use keybearer_engine::{Change, Random as _, Record, RecordKey, SealedRecord, TokenStore};

use crate::private_dir::{PrivateDir, private_dir};
use crate::random::SystemRandom;
use header::Header;
use log::{Log, Opened, parts};
pub use notice::StoreNotice;
use scan::{Condition, Damage};

const FILE: &str = "store.log";
const UNFINISHED: &str = "store.log.new";
/// Held by the process that uses the store: the store's own file may be replaced by a new one.
const LOCK: &str = "store.lock";
/// How many records `load` returns at a time.
const PAGE: usize = 64;

/// A [`TokenStore`] in the file `store.log` of a private directory, for one process at a time.
#[derive(Clone, Debug)]
pub struct FileStore(Arc<StoreState>);

#[derive(Debug)]
struct StoreState {
    dir: PathBuf,
    slot: Mutex<Slot>,
    notices: Mutex<Vec<StoreNotice>>,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Unopened,
    Open(Log, StoreLock),
    /// The file has to be read again before it is used.
    Reopen(StoreLock),
    /// Another process may have the file now.
    Closed,
}

impl FileStore {
    /// The store of this state directory. Nothing is opened yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self(Arc::new(StoreState {
            dir: state_dir.to_owned(),
            slot: Mutex::default(),
            notices: Mutex::default(),
        }))
    }

    /// What happened to the store since this process opened it.
    #[must_use]
    pub fn notices(&self) -> Vec<StoreNotice> {
        self.0.notices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the file for good, once what is being written is written: another process may open
    /// it. Every clone of the store refuses requests from then on.
    pub async fn close(&self) {
        let state = Arc::clone(&self.0);
        let closing = tokio::task::spawn_blocking(move || state.close());
        // The runtime ends, and the file with it.
        let _ = closing.await;
    }

    async fn run<T: Send + 'static>(
        &self,
        verb: &'static str,
        work: impl Fn(&PrivateDir, &mut Log) -> Result<T, StoreFault> + Send + 'static,
    ) -> Result<T> {
        let state = Arc::clone(&self.0);
        let task = tokio::task::spawn_blocking(move || state.run(verb, work));
        task.await.map_err(|error| {
            Error::internal(format!("could not {verb} the token store")).with_source(error)
        })?
    }
}

#[async_trait]
impl TokenStore for FileStore {
    async fn load(&self, after: Option<&RecordKey>) -> Result<Vec<Record>> {
        let after = after.cloned();
        self.run(
            "read",
            move |_, log| Ok(log.page(after.as_ref().map(|key| key.0.as_str()), PAGE)?),
        )
        .await
    }

    async fn read(&self, key: &RecordKey) -> Result<Option<Record>> {
        let key = key.clone();
        self.run("read", move |_, log| {
            let value = log.get(&key.0)?.map(SealedRecord);
            Ok(value.map(|value| Record { key: key.clone(), value }))
        })
        .await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<()> {
        check_limits(&changes)?;
        self.run("write", move |dir, log| commit(dir, log, &changes)).await
    }
}

/// Applies all changes or none, durably.
fn commit(dir: &PrivateDir, log: &mut Log, changes: &[Change]) -> Result<(), StoreFault> {
    check_identity(dir, log)?;
    let changes = log.effective(changes);
    if changes.is_empty() {
        return Ok(());
    }
    if !log.wants_rewrite(&changes) {
        return Ok(log.append(&changes)?);
    }
    *log = write_beside(dir, |file| log.rewrite(file, &changes))?;
    Ok(dir.replace_file(UNFINISHED, FILE)?)
}

impl StoreState {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        *self.slot() = Slot::Closed;
    }

    /// Works on the open log. A log that turns out to be damaged is repaired, and the work done
    /// again; after any other failure the file is read again at the next use.
    fn run<T>(
        &self,
        verb: &str,
        work: impl Fn(&PrivateDir, &mut Log) -> Result<T, StoreFault>,
    ) -> Result<T> {
        let mut slot = self.slot();
        if matches!(*slot, Slot::Closed) {
            return Err(closed(verb));
        }
        let dir = private_dir(&self.dir)?;
        let (mut log, lock) = match std::mem::take(&mut *slot) {
            Slot::Open(log, lock) => (log, lock),
            Slot::Reopen(lock) => (self.open(&dir)?, lock),
            Slot::Unopened | Slot::Closed => {
                let lock = StoreLock::acquire(&dir)?;
                (self.open(&dir)?, lock)
            }
        };
        let mut outcome = work(&dir, &mut log);
        if outcome.as_ref().is_err_and(StoreFault::is_damage) {
            drop(log);
            log = self.open(&dir)?;
            outcome = work(&dir, &mut log);
        }
        match outcome {
            Ok(value) => {
                *slot = Slot::Open(log, lock);
                Ok(value)
            }
            Err(fault) => {
                drop(log);
                *slot = Slot::Reopen(lock);
                Err(fault.into_error(&dir, &format!("could not {verb} the token store")))
            }
        }
    }

    fn open(&self, dir: &PrivateDir) -> Result<Log> {
        let failed = |error: io::Error| {
            StoreFault::from(error).into_error(dir, "could not open the token store")
        };
        let Some(file) = dir.open_file(FILE)? else { return create(dir) };
        let opened = Opened::read(&file).map_err(failed)?;
        if opened.is_of_another_version() {
            return Err(other_version(dir));
        }
        match (&opened.scan.condition, opened.scan.header) {
            (Condition::Whole | Condition::Unfinished, Some(header)) => {
                Ok(Log::resume(file, &opened, header))
            }
            (Condition::Damaged(damage), _) => self.repair(dir, &opened, damage),
            (_, None) => self.repair(dir, &opened, &Damage::default()),
        }
    }

    /// Keeps a copy of the damaged file, and writes a new one of the records that can be read.
    fn repair(&self, dir: &PrivateDir, opened: &Opened, damage: &Damage) -> Result<Log> {
        let aside = set_aside(dir, &opened.bytes)?;
        let header = opened.scan.header.unwrap_or_else(new_store);
        let header = Header { last: opened.scan.last + 1, ..header };
        let records = opened.records().map(|(key, value)| Ok((key, Cow::Borrowed(value))));
        let log = write_beside(dir, |file| Log::create(file, header, records))
            .and_then(|log| Ok(dir.replace_file(UNFINISHED, FILE).map(|()| log)?))
            .map_err(|fault| fault.into_error(dir, "could not repair the token store"))?;
        let notice = StoreNotice {
            set_aside: dir.path().join(aside),
            recovered: opened.scan.records.len(),
            lost: damage.lost.iter().cloned().collect(),
            unnamed: damage.unnamed,
        };
        tracing::warn!("{notice}");
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
        Ok(log)
    }
}

/// The right of one process to use the store, until it is dropped.
#[derive(Debug)]
struct StoreLock(File);

impl StoreLock {
    fn acquire(dir: &PrivateDir) -> Result<Self> {
        let file = match dir.open_file(LOCK)? {
            Some(file) => file,
            None => match dir.create_file(LOCK) {
                Ok(file) => file,
                // Another process has just made it.
                Err(error) => dir.open_file(LOCK)?.ok_or(error)?,
            },
        };
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                let holder = holder::of(&dir.path().join(LOCK));
                let shown = dir.path().display();
                let message =
                    format!("could not open the token store in {shown}: {holder} uses it");
                Err(Error::internal(message).with_hint(format!(
                    "stop {holder}, or set XDG_STATE_HOME to another directory"
                )))
            }
            Err(TryLockError::Error(error)) => {
                Err(StoreFault::from(error).into_error(dir, "could not lock the token store"))
            }
        }
    }
}

/// Closing the file is not enough: a child process shares the lock between `fork` and `exec`.
impl Drop for StoreLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

fn create(dir: &PrivateDir) -> Result<Log> {
    let nothing = std::iter::empty::<io::Result<(&str, Cow<'_, [u8]>)>>();
    write_beside(dir, |file| Log::create(file, new_store(), nothing))
        .and_then(|log| Ok(dir.replace_file(UNFINISHED, FILE).map(|()| log)?))
        .map_err(|fault| fault.into_error(dir, "could not create the token store"))
}

fn new_store() -> Header {
    let mut store = [0; 16];
    SystemRandom.fill(&mut store);
    Header { store, first: 1, last: 0 }
}

fn write_beside(
    dir: &PrivateDir,
    write: impl FnOnce(File) -> io::Result<Log>,
) -> Result<Log, StoreFault> {
    dir.remove_file(UNFINISHED)?;
    Ok(write(dir.create_file(UNFINISHED)?)?)
}

fn set_aside(dir: &PrivateDir, bytes: &[u8]) -> Result<String> {
    for number in 1..10_000 {
        let aside = format!("{FILE}.damaged-{number}");
        if dir.write_new(&aside, bytes)? {
            return Ok(aside);
        }
    }
    let shown = dir.path().display();
    Err(Error::internal(format!("could not keep a copy of the damaged token store in {shown}"))
        .with_hint("remove the old damaged files there"))
}

/// Checks that the open file still has the store's name. A commit to a file that was deleted,
/// restored or mounted over would be lost at the next start.
#[cfg(unix)]
fn check_identity(dir: &PrivateDir, log: &Log) -> Result<(), StoreFault> {
    use std::os::unix::fs::MetadataExt as _;
    let own = log.file().metadata()?;
    let named = dir.open_file(FILE)?.map(|file| file.metadata()).transpose()?;
    if named.is_some_and(|named| (named.dev(), named.ino()) == (own.dev(), own.ino())) {
        return Ok(());
    }
    Err(StoreFault::Replaced)
}

/// Windows does not let a file that is open be deleted or replaced.
#[cfg(not(unix))]
fn check_identity(_: &PrivateDir, _: &Log) -> Result<(), StoreFault> {
    Ok(())
}

fn check_limits(changes: &[Change]) -> Result<()> {
    for change in changes {
        let (key, value) = parts(change);
        if !frame::is_writable(key, value.unwrap_or_default()) {
            return Err(Error::internal(format!(
                "could not store the record {key}: it is too large"
            )));
        }
    }
    Ok(())
}

/// Why the store could not do something.
#[derive(Debug)]
enum StoreFault {
    Io(io::Error),
    /// Another file, or none, has the store's name now.
    #[cfg(unix)]
    Replaced,
    /// An error that already has its message.
    Other(Error),
}

impl StoreFault {
    fn is_damage(&self) -> bool {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        matches!(self, Self::Io(error) if matches!(error.kind(), InvalidData | UnexpectedEof))
    }

    fn into_error(self, dir: &PrivateDir, message: &str) -> Error {
        let shown = dir.path().join(FILE);
        let shown = shown.display();
        match self {
            Self::Io(error) => Error::internal(format!("{message} {shown}"))
                .with_source(error)
                .with_hint("check the free space and the health of that disk"),
            #[cfg(unix)]
            Self::Replaced => Error::internal(format!(
                "{message} {shown}: the file was deleted or replaced while this program used it"
            ))
            .with_hint("run `keybearer broker stop`, and sign in again if the account is missing"),
            Self::Other(error) => error,
        }
    }
}

impl From<io::Error> for StoreFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for StoreFault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

fn other_version(dir: &PrivateDir) -> Error {
    let shown = dir.path().join(FILE);
    let shown = shown.display();
    Error::internal(format!(
        "could not open the token store {shown}: another version of keybearer wrote it"
    ))
    .with_hint(format!("use that version, or move {shown} away and sign in again"))
}

fn closed(verb: &str) -> Error {
    Error::transient(None, format!("could not {verb} the token store: this broker is stopping"))
        .with_hint("try again; the next broker answers")
}
