//! What the bytes of a log hold: the records, and whether anything is damaged or missing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::frame::{self, Frame, Kind};
use super::header::{self, Header, Headers, LOG_START};

/// The content of a log.
#[derive(Debug)]
pub(super) struct Scan {
    /// The newer intact header; `None` if both copies are damaged.
    pub(super) header: Option<Header>,
    /// Where each record's value is.
    pub(super) records: BTreeMap<String, Range<usize>>,
    /// The last commit that counts.
    pub(super) last: u64,
    /// Where the next commit goes.
    pub(super) end: usize,
    pub(super) condition: Condition,
}

/// How a log was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Condition {
    /// As it was written.
    Whole,
    /// A commit that was never confirmed is partly there, because the process or the machine ended
    /// while it was written. Nothing is lost.
    Unfinished,
    Damaged(Damage),
}

/// What damage to a log has cost.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Damage {
    /// The records whose last value cannot be read.
    pub(super) lost: BTreeSet<String>,
    /// How many changes are missing of which not even the record's name is left.
    pub(super) unnamed: u64,
}

/// Reads a whole log.
pub(super) fn scan(file: &[u8]) -> Scan {
    let headers = header::read(file);
    let header = match headers {
        Headers::Intact(header) | Headers::One(header) => Some(header),
        Headers::Damaged => None,
    };
    let found = Frames::of(file);
    let mut commits: BTreeMap<u64, Commit> = BTreeMap::new();
    for (frame, is_whole) in found.frames {
        commits.entry(frame.meta.commit).or_default().add(frame, is_whole);
    }
    let mut end = found.end;
    let mut is_unfinished = found.has_residue;
    if let Headers::Intact(header) = headers
        && let Some(entry) = commits.last_entry()
        && *entry.key() > header.last
        && !entry.get().is_whole()
    {
        end = entry.remove().start;
        is_unfinished = true;
    }
    let known = header.map_or(0, |header| header.last);
    let last = commits.last_key_value().map_or(known, |(commit, _)| known.max(*commit));
    let first = header.map(|header| header.first).or_else(|| commits.keys().next().copied());
    let missing = first
        .map_or(0, |first| (last + 1).saturating_sub(first).saturating_sub(commits.len() as u64));

    let is_spoiled = !matches!(headers, Headers::Intact(_))
        || missing > 0
        || commits.values().any(|commit| !commit.is_whole());
    let (records, mut damage) = replay(commits);
    damage.unnamed += missing;
    let condition = if is_spoiled {
        Condition::Damaged(damage)
    } else if is_unfinished {
        Condition::Unfinished
    } else {
        Condition::Whole
    };
    Scan { header, records, last, end, condition }
}

/// The frames of a file in their order.
struct Frames {
    /// Each with whether it is as it was written.
    frames: Vec<(Frame, bool)>,
    end: usize,
    /// Whether there is something behind the last frame.
    has_residue: bool,
}

impl Frames {
    fn of(file: &[u8]) -> Self {
        let (mut frames, mut at) = (Vec::new(), LOG_START.min(file.len()));
        loop {
            if let Some(frame) = frame::read_whole(file, at) {
                at = frame.end;
                frames.push((frame, true));
                continue;
            }
            let is_free = file[at..].iter().all(|byte| *byte == 0);
            let next = if is_free { None } else { frame::find(file, at) };
            let Some(frame) = next else {
                return Self { frames, end: at, has_residue: !is_free };
            };
            at = frame.end.max(at + 1);
            frames.push((frame, false));
        }
    }
}

/// The frames of one commit that were found.
#[derive(Default)]
struct Commit {
    frames: Vec<Frame>,
    count: u32,
    /// Where the first of them begins, at the latest.
    start: usize,
    has_damage: bool,
}

impl Commit {
    fn add(&mut self, frame: Frame, is_whole: bool) {
        if self.frames.is_empty() {
            let value = frame.value.clone().unwrap_or_default();
            let begin = value.start.saturating_sub(frame::value_offset(&frame.key));
            self.start = if frame.value.is_some() { begin } else { frame.end };
        }
        self.count = frame.meta.count;
        self.has_damage |= !is_whole;
        self.frames.push(frame);
    }

    /// Whether the commit is as it was written.
    fn is_whole(&self) -> bool {
        self.missing() == 0 && !self.has_damage
    }

    fn missing(&self) -> u64 {
        u64::from(self.count).saturating_sub(self.frames.len() as u64)
    }
}

/// Applies commits in their order. A record whose newest value is damaged is lost: an older value
/// must not come back in its place.
fn replay(commits: BTreeMap<u64, Commit>) -> (BTreeMap<String, Range<usize>>, Damage) {
    let (mut records, mut damage) = (BTreeMap::new(), Damage::default());
    for commit in commits.into_values() {
        damage.unnamed += commit.missing();
        for Frame { meta, key, value, .. } in commit.frames {
            damage.lost.remove(&key);
            match (meta.kind, value) {
                (Kind::Put, Some(value)) => {
                    records.insert(key, value);
                }
                (Kind::Put, None) => {
                    records.remove(&key);
                    damage.lost.insert(key);
                }
                (Kind::Delete, _) => {
                    records.remove(&key);
                }
            }
        }
    }
    (records, damage)
}
