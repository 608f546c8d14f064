//! The beginning of the log: which store it is, and up to which commit it is complete.
//!
//! Two copies are written in turns, so that one is intact whatever happens to the other. A header is
//! written after its commit is durable and is not waited for: it never claims more than the log has,
//! so a log that ends before the header says was cut off.

use super::frame::checksum;

const MAGIC: [u8; 8] = *b"KBSTORE1";
const LENGTH: usize = 48;
/// The copies lie in pages of their own.
const PAGE: usize = 4096;
/// Where the log begins.
pub(super) const LOG_START: usize = 2 * PAGE;

/// What a copy of the header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// Which store this is: random, and the same as long as its directory is.
    pub(super) store: [u8; 16],
    /// The first commit in this file.
    pub(super) first: u64,
    /// The last commit that is known to be durable.
    pub(super) last: u64,
}

/// What was found at the beginning of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Headers {
    /// Both copies are intact; this is the newer.
    Intact(Header),
    /// One copy is damaged or cut off; this is the other.
    One(Header),
    /// Neither is intact.
    Damaged,
}

/// Where the copy of the header for a commit is.
pub(super) fn offset(last: u64) -> usize {
    if last.is_multiple_of(2) { 0 } else { PAGE }
}

/// The two copies and what lies between them.
pub(super) fn write_both(header: Header) -> Vec<u8> {
    let mut bytes = vec![0; LOG_START];
    for start in [0, PAGE] {
        bytes[start..start + LENGTH].copy_from_slice(&write(header));
    }
    bytes
}

/// One copy.
pub(super) fn write(header: Header) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..24].copy_from_slice(&header.store);
    bytes[24..32].copy_from_slice(&header.first.to_le_bytes());
    bytes[32..40].copy_from_slice(&header.last.to_le_bytes());
    let sum = checksum(&[&bytes[..44]]);
    bytes[44..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Reads both copies.
pub(super) fn read(file: &[u8]) -> Headers {
    match [0, PAGE].map(|start| file.get(start..start + LENGTH).and_then(parse)) {
        [Some(one), Some(other)] => {
            Headers::Intact(if one.last >= other.last { one } else { other })
        }
        [Some(header), None] | [None, Some(header)] => Headers::One(header),
        [None, None] => Headers::Damaged,
    }
}

fn parse(bytes: &[u8]) -> Option<Header> {
    let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let sum = u32::from_le_bytes(bytes.get(44..LENGTH)?.try_into().ok()?);
    if bytes[..8] != MAGIC || checksum(&[&bytes[..44]]) != sum {
        return None;
    }
    Some(Header { store: bytes[8..24].try_into().ok()?, first: number(24)?, last: number(32)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(last: u64) -> Header {
        Header { store: [7; 16], first: 3, last }
    }

    #[test]
    fn the_newer_copy_counts_and_one_is_enough() {
        let mut file = write_both(header(8));
        file[offset(9)..offset(9) + LENGTH].copy_from_slice(&write(header(9)));
        assert_eq!(read(&file), Headers::Intact(header(9)));
        let mut damaged = file.clone();
        damaged[offset(9) + 33] ^= 1;
        assert_eq!(read(&damaged), Headers::One(header(8)));
        damaged[offset(8)] ^= 1;
        assert_eq!(read(&damaged), Headers::Damaged);
        assert_eq!(read(&file[..PAGE]), Headers::One(header(8)));
        assert_eq!(read(&[]), Headers::Damaged);
    }
}
