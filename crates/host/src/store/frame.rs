//! One record in the log of the store: how it is written, read, and found in a damaged file.
//!
//! ```text
//! meta | key | value | key | meta
//! ```
//!
//! What identifies a record stands before and after it. Damage to one of the two loses nothing, and
//! damage to the value still leaves the name of the record that was lost.

use std::ops::Range;

const HEAD: [u8; 4] = *b"Kb<R";
const FOOT: [u8; 4] = *b"F>dK";
const META: usize = 40;
/// Longer ones are refused; the longest key that the engine makes has about 200 bytes.
const LONGEST_KEY: usize = 4 * 1024;
/// Longer ones are refused; a record of two refresh tokens has a few kilobytes.
const LONGEST_VALUE: usize = 8 * 1024 * 1024;

/// What a frame says about its record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Meta {
    /// The commit that wrote the frame. Each has the number after the one before.
    pub(super) commit: u64,
    /// Which of the commit's frames it is, from zero.
    pub(super) index: u32,
    /// How many frames the commit has.
    pub(super) count: u32,
    pub(super) kind: Kind,
    value_length: u32,
    value_checksum: u32,
}

/// What becomes of the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Put = 1,
    Delete = 2,
}

/// A record in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) meta: Meta,
    pub(super) key: String,
    /// Where the value is; `None` if it is damaged or cut off.
    pub(super) value: Option<Range<usize>>,
    /// Where the frame ends.
    pub(super) end: usize,
}

/// Where a frame stands in its commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) commit: u64,
    pub(super) index: u32,
    pub(super) count: u32,
}

/// How many bytes the frame of a record takes.
pub(super) fn length(key: &str, value_length: usize) -> usize {
    2 * META + 2 * key.len() + value_length
}

/// Where the value is in a frame that begins at zero.
pub(super) fn value_offset(key: &str) -> usize {
    META + key.len()
}

/// Whether the record is within the limits of the format.
pub(super) fn is_writable(key: &str, value: &[u8]) -> bool {
    !key.is_empty() && key.len() <= LONGEST_KEY && value.len() <= LONGEST_VALUE
}

/// Appends the frame of one record.
pub(super) fn write(out: &mut Vec<u8>, position: Position, key: &str, value: Option<&[u8]>) {
    let kind = if value.is_some() { Kind::Put } else { Kind::Delete };
    let value = value.unwrap_or_default();
    let meta = |magic: [u8; 4]| {
        let mut meta = Vec::with_capacity(META);
        meta.extend(magic);
        meta.extend(position.commit.to_le_bytes());
        meta.extend(position.index.to_le_bytes());
        meta.extend(position.count.to_le_bytes());
        meta.extend([kind as u8, 0]);
        meta.extend((key.len() as u16).to_le_bytes());
        meta.extend((value.len() as u32).to_le_bytes());
        meta.extend(checksum(&[key.as_bytes(), value]).to_le_bytes());
        meta.extend([0; 4]);
        let sum = checksum(&[&meta, key.as_bytes()]);
        meta.extend(sum.to_le_bytes());
        meta
    };
    out.extend(meta(HEAD));
    out.extend(key.as_bytes());
    out.extend(value);
    out.extend(key.as_bytes());
    out.extend(meta(FOOT));
}

/// Reads the frame that begins here, if one does; its value may be damaged.
pub(super) fn read(file: &[u8], start: usize) -> Option<Frame> {
    let (meta, key) = head(file, start)?;
    let value = value_of(file, start + META + key.len(), &meta, &key);
    let end = start + length(&key, meta.value_length as usize);
    Some(Frame { meta, key, value, end: end.min(file.len()) })
}

/// Reads the frame that begins here if all of it is as it was written.
pub(super) fn read_whole(file: &[u8], start: usize) -> Option<Frame> {
    let frame = read(file, start)?;
    let (meta, key) = foot(file, frame.end.checked_sub(META)?)?;
    let is_whole = meta == frame.meta && key == frame.key && frame.value.is_some();
    is_whole.then_some(frame)
}

/// Finds the next frame from `start` on of which the beginning or the end is intact.
pub(super) fn find(file: &[u8], start: usize) -> Option<Frame> {
    let mut at = start;
    loop {
        at += file.get(at..)?.windows(4).position(|bytes| bytes == HEAD || bytes == FOOT)?;
        if let Some(frame) = read(file, at) {
            return Some(frame);
        }
        if let Some(frame) = read_backwards(file, at) {
            return Some(frame);
        }
        at += 1;
    }
}

/// Reads the frame whose closing meta begins here, although its beginning is damaged.
fn read_backwards(file: &[u8], foot_start: usize) -> Option<Frame> {
    let (meta, key) = foot(file, foot_start)?;
    let value_length = meta.value_length as usize;
    let value_start = foot_start.checked_sub(key.len() + value_length)?;
    let value = value_of(file, value_start, &meta, &key);
    Some(Frame { meta, key, value, end: foot_start + META })
}

fn head(file: &[u8], start: usize) -> Option<(Meta, String)> {
    let meta: &[u8; META] = file.get(start..start + META)?.try_into().ok()?;
    let key = file.get(start + META..start + META + key_length(meta))?;
    parse(meta, key, HEAD)
}

fn foot(file: &[u8], start: usize) -> Option<(Meta, String)> {
    let meta: &[u8; META] = file.get(start..start + META)?.try_into().ok()?;
    let key = file.get(start.checked_sub(key_length(meta))?..start)?;
    parse(meta, key, FOOT)
}

fn key_length(meta: &[u8; META]) -> usize {
    u16::from_le_bytes([meta[22], meta[23]]).into()
}

fn parse(meta: &[u8; META], key: &[u8], magic: [u8; 4]) -> Option<(Meta, String)> {
    let word = |at: usize| u32::from_le_bytes([meta[at], meta[at + 1], meta[at + 2], meta[at + 3]]);
    if meta[..4] != magic || checksum(&[&meta[..META - 4], key]) != word(META - 4) {
        return None;
    }
    let kind = match meta[20] {
        1 => Kind::Put,
        2 => Kind::Delete,
        _ => return None,
    };
    let meta = Meta {
        commit: u64::from(word(4)) | u64::from(word(8)) << 32,
        index: word(12),
        count: word(16),
        kind,
        value_length: word(24),
        value_checksum: word(28),
    };
    Some((meta, str::from_utf8(key).ok()?.to_owned()))
}

fn value_of(file: &[u8], start: usize, meta: &Meta, key: &str) -> Option<Range<usize>> {
    let range = start..start.checked_add(meta.value_length as usize)?;
    let value = file.get(range.clone())?;
    (checksum(&[key.as_bytes(), value]) == meta.value_checksum).then_some(range)
}

/// Against accidents. Whether a value is genuine, its seal says.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "account/e/oid.tid";

    fn frame(value: Option<&[u8]>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let position = Position { commit: 1 << 40 | 7, index: 2, count: 3 };
        write(&mut bytes, position, KEY, value);
        bytes
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        for value in [Some(&b"sealed"[..]), Some(b""), None] {
            let bytes = frame(value);
            assert_eq!(bytes.len(), length(KEY, value.map_or(0, <[u8]>::len)));
            let read = read(&bytes, 0).unwrap();
            assert_eq!((read.meta.commit, read.meta.index, read.meta.count), (1 << 40 | 7, 2, 3));
            assert_eq!(read.meta.kind, if value.is_some() { Kind::Put } else { Kind::Delete });
            assert_eq!((read.key.as_str(), read.end), (KEY, bytes.len()));
            let range = read.value.clone().unwrap();
            assert_eq!(range.start, value_offset(KEY));
            assert_eq!(&bytes[range], value.unwrap_or_default());
            assert_eq!(read_whole(&bytes, 0), Some(read));
        }
    }

    #[test]
    fn a_flipped_bit_loses_a_record_only_if_it_is_in_the_value_and_never_its_name() {
        let bytes = frame(Some(b"sealed"));
        let value = value_offset(KEY)..value_offset(KEY) + 6;
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = find(&flipped, 0).unwrap_or_else(|| panic!("bit {bit}"));
            assert_eq!(found.key, KEY, "bit {bit}");
            assert_eq!(found.value.is_some(), !value.contains(&(bit / 8)), "bit {bit}");
            assert_eq!(read_whole(&flipped, 0), None, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_still_names_its_record() {
        let bytes = frame(Some(b"sealed"));
        for length in 0..bytes.len() {
            let found = find(&bytes[..length], 0);
            assert_eq!(found.is_some(), length >= value_offset(KEY), "{length}");
            if let Some(found) = found {
                assert_eq!(found.key, KEY);
                assert_eq!(read_whole(&bytes[..length], 0), None, "{length}");
            }
        }
    }
}
