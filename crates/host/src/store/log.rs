//! The log: one file of commits, each a few frames, in the order in which they were made.
//!
//! A commit is appended and made durable before it is confirmed; after a crash the log holds it
//! whole or not at all (promise I3). The file is rewritten under another name and then renamed, once
//! most of it is outdated, and when records are deleted from a small store: a deleted refresh token
//! does not stay on disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Bound;

use keybearer_engine::{Change, Record, RecordKey, SealedRecord};

use super::frame::{self, Position};
use super::header::{self, Header, LOG_START};
use super::scan::{Condition, Scan, scan};

/// The file grows in such steps, filled with zeros, so that most commits overwrite bytes that the
/// file system has placed already.
const STEP: usize = 64 * 1024;
/// A log with fewer outdated bytes than this is not rewritten.
const SMALL: usize = 1024 * 1024;

/// An open log. After an error of [`append`](Self::append) it must not be used any more.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    records: BTreeMap<Box<str>, Value>,
    header: Header,
    end: usize,
    /// How long the file is.
    capacity: usize,
    /// How many bytes the frames of `records` take.
    live: usize,
    /// Whether an unfinished commit lies behind `end`.
    has_residue: bool,
}

/// Where a record's value is.
#[derive(Clone, Copy, Debug)]
struct Value {
    offset: usize,
    length: usize,
}

/// A log as it was opened.
pub(super) struct Opened {
    pub(super) bytes: Vec<u8>,
    pub(super) scan: Scan,
}

impl Opened {
    /// Reads a file.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(file.metadata()?.len().try_into().unwrap_or_default());
        let mut reader = file;
        reader.seek(SeekFrom::Start(0))?;
        reader.read_to_end(&mut bytes)?;
        let scan = scan(&bytes);
        Ok(Self { bytes, scan })
    }

    /// Whether another version of the program has written the file: both copies of the header say
    /// so, and there is nothing of this version.
    pub(super) fn is_of_another_version(&self) -> bool {
        const FAMILY: &[u8] = b"KBSTORE";
        let magic = |at: usize| self.bytes.get(at..at + 8);
        self.scan.header.is_none()
            && self.scan.records.is_empty()
            && magic(0).is_some_and(|bytes| bytes.starts_with(FAMILY))
            && magic(0) == magic(header::offset(1))
    }

    /// The records that can be read.
    pub(super) fn records(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.scan.records.iter().map(|(key, value)| (key.as_str(), &self.bytes[value.clone()]))
    }
}

impl Log {
    /// Continues a log that is not damaged.
    pub(super) fn resume(file: File, opened: &Opened, header: Header) -> Self {
        let scan = &opened.scan;
        let value =
            |range: &std::ops::Range<usize>| Value { offset: range.start, length: range.len() };
        let records: BTreeMap<Box<str>, Value> =
            scan.records.iter().map(|(key, range)| (key.as_str().into(), value(range))).collect();
        Self {
            file,
            live: live(&records),
            records,
            header: Header { last: scan.last, ..header },
            end: scan.end,
            capacity: opened.bytes.len(),
            has_residue: scan.condition == Condition::Unfinished,
        }
    }

    /// Writes a log of these records as one commit into an empty file, durably.
    pub(super) fn create<'a>(
        file: File,
        header: Header,
        contents: impl ExactSizeIterator<Item = io::Result<(&'a str, std::borrow::Cow<'a, [u8]>)>>,
    ) -> io::Result<Self> {
        let count = contents.len() as u32;
        let first = if count == 0 { header.last + 1 } else { header.last };
        let header = Header { first, ..header };
        let mut writer = io::BufWriter::with_capacity(STEP, &file);
        writer.write_all(&header::write_both(header))?;
        let (mut records, mut end, mut bytes) = (BTreeMap::new(), LOG_START, Vec::new());
        for (index, content) in contents.enumerate() {
            let (key, value) = content?;
            bytes.clear();
            let position = Position { commit: header.last, index: index as u32, count };
            frame::write(&mut bytes, position, key, Some(&value));
            writer.write_all(&bytes)?;
            let offset = end + frame::value_offset(key);
            records.insert(key.into(), Value { offset, length: value.len() });
            end += bytes.len();
        }
        let capacity = end.next_multiple_of(STEP);
        writer.write_all(&vec![0; capacity - end])?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        let live = live(&records);
        Ok(Self { file, records, header, end, capacity, live, has_residue: false })
    }

    /// The file, to compare it with the one that has its name.
    #[cfg(unix)]
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// A record; the error is `InvalidData` if it is damaged.
    pub(super) fn get(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.records.get(key).map(|value| self.value(key, *value)).transpose()
    }

    /// The records after a key, `limit` of them at the most.
    pub(super) fn page(&self, after: Option<&str>, limit: usize) -> io::Result<Vec<Record>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let records = self.records.range::<str, _>((start, Bound::Unbounded)).take(limit);
        let record = |key: &str, value: &Value| {
            let sealed = SealedRecord(self.value(key, *value)?);
            Ok(Record { key: RecordKey(key.to_owned()), value: sealed })
        };
        records.map(|(key, value)| record(key, value)).collect()
    }

    fn value(&self, key: &str, Value { offset, length }: Value) -> io::Result<Vec<u8>> {
        let head = frame::value_offset(key);
        let mut bytes = vec![0; head + length];
        let mut file = &self.file;
        file.seek(SeekFrom::Start((offset - head) as u64))?;
        file.read_exact(&mut bytes)?;
        let frame = frame::read(&bytes, 0).filter(|frame| frame.key == key);
        let Some(range) = frame.and_then(|frame| frame.value) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a record is damaged"));
        };
        bytes.truncate(range.end);
        bytes.drain(..range.start);
        Ok(bytes)
    }

    /// What of these changes changes anything, in their order.
    pub(super) fn effective<'a>(&self, changes: &'a [Change]) -> Vec<&'a Change> {
        let put_before = |index: usize, key: &RecordKey| {
            changes[..index]
                .iter()
                .any(|change| matches!(change, Change::Put(put) if put.key == *key))
        };
        let kept = changes.iter().enumerate().filter(|(index, change)| match change {
            Change::Put(_) => true,
            Change::Delete(key) => {
                self.records.contains_key(key.0.as_str()) || put_before(*index, key)
            }
        });
        kept.map(|(_, change)| change).collect()
    }

    /// Whether to make these changes by rewriting the log.
    pub(super) fn wants_rewrite(&self, changes: &[&Change]) -> bool {
        let outdated = self.end - LOG_START - self.live;
        let deletes = changes.iter().any(|change| matches!(change, Change::Delete(_)));
        self.has_residue || deletes && self.live <= SMALL || outdated > self.live.max(SMALL)
    }

    /// Appends a commit, durably.
    pub(super) fn append(&mut self, changes: &[&Change]) -> io::Result<()> {
        let commit = self.header.last + 1;
        let (mut bytes, mut values) = (Vec::new(), Vec::with_capacity(changes.len()));
        for (index, change) in changes.iter().enumerate() {
            let position = Position { commit, index: index as u32, count: changes.len() as u32 };
            let (key, value) = parts(change);
            let start = self.end + bytes.len();
            frame::write(&mut bytes, position, key, value);
            let offset = start + frame::value_offset(key);
            values.push((key, value.map(|value| Value { offset, length: value.len() })));
        }
        let end = self.end + bytes.len();
        let capacity = self.capacity.max(end.next_multiple_of(STEP));
        if capacity > self.capacity {
            bytes.resize(capacity - self.end, 0);
        }
        self.write_at(self.end, &bytes)?;
        self.file.sync_data()?;
        (self.end, self.capacity, self.header.last) = (end, capacity, commit);
        for (key, value) in values {
            self.remember(key, value);
        }
        // Not synced, and no part of the commit: a later truncation is noticed by it.
        let _ = self.write_at(header::offset(commit), &header::write(self.header));
        Ok(())
    }

    /// Rewrites the log with these changes into an empty file, durably.
    pub(super) fn rewrite(&self, file: File, changes: &[&Change]) -> io::Result<Self> {
        let mut contents: BTreeMap<&str, Option<&[u8]>> =
            self.records.keys().map(|key| (&**key, None)).collect();
        for change in changes {
            match parts(change) {
                (key, Some(value)) => contents.insert(key, Some(value)),
                (key, None) => contents.remove(key),
            };
        }
        let contents = contents.into_iter().map(|(key, value)| match value {
            Some(value) => Ok((key, value.into())),
            None => Ok((key, self.get(key)?.unwrap_or_default().into())),
        });
        Self::create(file, Header { last: self.header.last + 1, ..self.header }, contents)
    }

    fn write_at(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset as u64))?;
        file.write_all(bytes)
    }

    fn remember(&mut self, key: &str, value: Option<Value>) {
        let old = match value {
            Some(value) => {
                self.live += frame::length(key, value.length);
                self.records.insert(key.into(), value)
            }
            None => self.records.remove(key),
        };
        self.live -= old.map_or(0, |old| frame::length(key, old.length));
    }
}

/// The key of a change, and the value it puts there.
pub(super) fn parts(change: &Change) -> (&str, Option<&[u8]>) {
    match change {
        Change::Put(record) => (&record.key.0, Some(&record.value.0)),
        Change::Delete(key) => (&key.0, None),
    }
}

fn live(records: &BTreeMap<Box<str>, Value>) -> usize {
    records.iter().map(|(key, value)| frame::length(key, value.length)).sum()
}
