//! Every kind of damage to a store of 50 accounts, in memory. `KEYBEARER_EXHAUSTIVE=1` tries each bit
//! and each length instead of a sample; with `--release` that takes minutes.

use std::collections::{BTreeMap, BTreeSet};

use super::frame::{self, Position};
use super::header::{self, Header, LOG_START};
use super::scan::{Condition, Scan, scan};

type Records = BTreeMap<String, Vec<u8>>;

/// A log as it is after two commits for each account, with what it holds and what it held before.
struct Sample {
    file: Vec<u8>,
    newest: Records,
    outdated: BTreeSet<Vec<u8>>,
}

fn sample() -> Sample {
    let mut file = header::write_both(Header { store: [1; 16], first: 1, last: 0 });
    let (mut newest, mut outdated, mut commit) = (Records::new(), BTreeSet::new(), 0);
    for round in 0..2_u8 {
        for account in 0..50_u8 {
            commit += 1;
            let names =
                [format!("account/e/{account}.tid"), format!("refresh/e/{account}.tid/app")];
            for (index, name) in names.into_iter().enumerate() {
                let length = if index == 0 { 120 } else { 700 };
                let mut value = vec![0x80 | round << 6 | account; length];
                value[0] = round;
                let position = Position { commit, index: index as u32, count: 2 };
                frame::write(&mut file, position, &name, Some(&value));
                outdated.extend(newest.insert(name, value));
            }
        }
    }
    let header = Header { store: [1; 16], first: 1, last: commit };
    for (last, at) in [(commit - 1, header::offset(commit - 1)), (commit, header::offset(commit))] {
        let copy = header::write(Header { last, ..header });
        file[at..at + copy.len()].copy_from_slice(&copy);
    }
    file.resize((file.len() + 1).next_multiple_of(64 * 1024), 0);
    Sample { file, newest, outdated }
}

impl Sample {
    /// Nothing is lost silently, nothing outdated comes back, and nothing else is lost than what the
    /// notice names. Returns how many records are lost.
    fn judge(&self, damaged: &[u8], case: &str) -> usize {
        let Scan { records, condition, header, .. } = scan(damaged);
        let mut missing = self.newest.len() - records.len();
        for (key, range) in records {
            let value = &damaged[range];
            if self.newest.get(&key).is_some_and(|own| own == value) {
                continue;
            }
            assert!(self.outdated.contains(value), "{case}: {key} holds another record's value");
            missing += 1;
        }
        let named = match condition {
            // Nothing is left that says how much there was, and the notice says so.
            Condition::Damaged(_) if header.is_none() => self.newest.len(),
            Condition::Damaged(damage) => damage.lost.len() + damage.unnamed as usize,
            Condition::Whole | Condition::Unfinished => 0,
        };
        assert!(missing <= named * 2, "{case}: {missing} lost, {named} reported");
        missing
    }
}

fn exhaustive() -> bool {
    std::env::var_os("KEYBEARER_EXHAUSTIVE").is_some()
}

#[test]
fn a_flipped_bit_loses_at_most_the_record_it_is_in_and_never_silently_inv_i13() {
    let sample = sample();
    let bits = sample.file.len() * 8;
    let step = if exhaustive() { 1 } else { bits / 5_003 };
    let (mut tried, mut harmless) = (0, 0);
    for bit in (0..bits).step_by(step) {
        let mut file = sample.file.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        let lost = sample.judge(&file, &format!("bit {bit}"));
        assert!(lost <= 1, "bit {bit}: {lost} records lost");
        if let (0, Condition::Damaged(damage)) = (lost, scan(&file).condition) {
            assert!(damage.lost.is_empty() && damage.unnamed == 0, "bit {bit}: {damage:?}");
        }
        tried += 1;
        harmless += usize::from(lost == 0);
    }
    println!("{tried} bits flipped: {harmless} lost nothing, {} one record", tried - harmless);
    assert!(tried >= 5_000);
}

#[test]
fn a_file_that_was_cut_off_keeps_what_is_left_and_reports_the_rest_inv_i13() {
    let sample = sample();
    let step = if exhaustive() { 1 } else { 97 };
    let written = sample.file.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut before = sample.newest.len();
    for length in (0..sample.file.len()).step_by(step) {
        let file = &sample.file[..length];
        let lost = sample.judge(file, &format!("length {length}"));
        assert_eq!(scan(file).condition == Condition::Whole, length >= written, "length {length}");
        assert!(lost <= before, "length {length}: {lost} lost, and {before} of a shorter file");
        before = lost;
        let mut padded = file.to_vec();
        padded.resize(sample.file.len(), 0);
        assert_eq!(sample.judge(&padded, &format!("padded {length}")), lost, "length {length}");
    }
}

#[test]
fn an_older_version_of_a_record_in_place_of_the_newest_is_noticed_inv_i13() {
    let sample = sample();
    let frames: Vec<_> = {
        let mut at = LOG_START;
        std::iter::from_fn(|| {
            let frame = frame::read(&sample.file, at)?;
            let start = std::mem::replace(&mut at, frame.end);
            Some((start, frame))
        })
        .collect()
    };
    let newest = frames.iter().rposition(|(_, frame)| frame.key.starts_with("refresh")).unwrap();
    let (to, new) = &frames[newest];
    let (from, old) = frames.iter().find(|(_, frame)| frame.key == new.key).unwrap();
    assert_eq!(old.end - from, new.end - to);
    let mut file = sample.file.clone();
    file.copy_within(*from..old.end, *to);
    assert!(matches!(scan(&file).condition, Condition::Damaged(damage) if damage.unnamed > 0));
}

#[test]
fn zeroed_and_overwritten_pages_lose_only_what_they_held() {
    let sample = sample();
    for start in (LOG_START..sample.file.len() - 512).step_by(512 * 7) {
        for filler in [0, 0xff] {
            let mut file = sample.file.clone();
            file[start..start + 512].fill(filler);
            let lost = sample.judge(&file, &format!("page at {start}"));
            assert!(lost <= 3, "page at {start}: {lost} records lost");
        }
    }
}

#[test]
fn a_commit_that_was_never_confirmed_is_left_out_without_a_notice_inv_i3() {
    let sample = sample();
    let last = sample.file.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut more = Vec::new();
    for index in 0..2 {
        let position = Position { commit: 101, index, count: 2 };
        frame::write(&mut more, position, &format!("new/{index}"), Some(&[9; 500]));
    }
    for written in 0..more.len() {
        let mut file = sample.file.clone();
        file[last..last + written].copy_from_slice(&more[..written]);
        let found = scan(&file);
        let expected = if written == 0 { Condition::Whole } else { Condition::Unfinished };
        assert_eq!(found.condition, expected, "{written} bytes");
        assert_eq!(
            (found.records.len(), found.last),
            (sample.newest.len(), 100),
            "{written} bytes"
        );
    }
    let mut file = sample.file.clone();
    file[last..last + more.len()].copy_from_slice(&more);
    let found = scan(&file);
    assert_eq!((found.condition, found.last), (Condition::Whole, 101), "durable, if not confirmed");
}
