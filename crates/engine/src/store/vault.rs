//! Encrypts records with the master key (invariant I4).
//!
//! A sealed record is `version (1) | epoch (4, big endian) | nonce (24) | ciphertext`, encrypted
//! with XChaCha20-Poly1305. The associated data are the record's key, the version and the epoch, so
//! a record does not open under another key or epoch.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use keybearer_core::{Error, MasterKey, Result};
use zeroize::Zeroizing;

use crate::effects::{Random, Record, RecordKey, SealedRecord};

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4;
const NONCE: usize = 24;

/// The generation of the master key. It changes when the key is replaced.
const EPOCH: u32 = 1;

pub(crate) struct Vault(XChaCha20Poly1305);

impl Vault {
    pub(crate) fn new(key: &MasterKey) -> Self {
        Self(XChaCha20Poly1305::new(key.expose().into()))
    }

    /// Encrypts `plaintext` for the record `key`, with a random nonce.
    pub(crate) fn seal(
        &self,
        random: &dyn Random,
        key: RecordKey,
        plaintext: &[u8],
    ) -> Result<Record> {
        let nonce = random.bytes::<NONCE>();
        let aad = associated_data(&key, VERSION, EPOCH);
        let payload = Payload { msg: plaintext, aad: &aad };
        let ciphertext = self
            .0
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::internal(format!("could not seal the record {}", key.0)))?;
        let mut sealed = Vec::with_capacity(HEADER + NONCE + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend(EPOCH.to_be_bytes());
        sealed.extend(nonce);
        sealed.extend(ciphertext);
        Ok(Record { key, value: SealedRecord(sealed) })
    }

    /// Decrypts a record. Fails if any bit of the record, its key or the master key differs.
    pub(crate) fn open(&self, record: &Record) -> Result<Zeroizing<Vec<u8>>> {
        let unreadable =
            |why| Error::internal(format!("could not open the record {}: {why}", record.key.0));
        let bytes = &record.value.0;
        let Some((header, rest)) = bytes.split_at_checked(HEADER) else {
            return Err(unreadable("it is too short"));
        };
        let Some((nonce, ciphertext)) = rest.split_first_chunk::<NONCE>() else {
            return Err(unreadable("it is too short"));
        };
        let epoch = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        if header[0] != VERSION {
            return Err(unreadable("it was written by another version of the program"));
        }
        let aad = associated_data(&record.key, header[0], epoch);
        let payload = Payload { msg: ciphertext, aad: &aad };
        self.0
            .decrypt(&XNonce::from(*nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| unreadable("it is damaged or was sealed with another key"))
    }
}

fn associated_data(key: &RecordKey, version: u8, epoch: u32) -> Vec<u8> {
    [key.0.as_bytes(), &[0, version], &epoch.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Counting(AtomicU8);

    impl Random for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn vault() -> Vault {
        Vault::new(&MasterKey::new([9; 32]))
    }

    fn sealed(key: &str) -> Record {
        vault().seal(&Counting::default(), RecordKey(key.into()), b"secret").unwrap()
    }

    #[test]
    fn what_was_sealed_opens_again_and_does_not_show_inv_i4() {
        let record = sealed("refresh/a");
        assert_eq!(vault().open(&record).unwrap().as_slice(), b"secret");
        assert!(!record.value.0.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time() {
        let random = Counting::default();
        let seal = || vault().seal(&random, RecordKey("k".into()), b"secret").unwrap();
        assert_ne!(seal().value, seal().value);
    }

    #[test]
    fn a_record_does_not_open_under_another_key_or_name_inv_i4() {
        let mut moved = sealed("refresh/a");
        moved.key = RecordKey("refresh/b".into());
        assert!(vault().open(&moved).is_err());
        let other = Vault::new(&MasterKey::new([8; 32]));
        assert!(other.open(&sealed("refresh/a")).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_noticed() {
        let record = sealed("k");
        for position in 0..record.value.0.len() {
            let mut flipped = record.clone();
            flipped.value.0[position] ^= 1;
            assert!(vault().open(&flipped).is_err(), "flip at {position}");
            let mut truncated = record.clone();
            truncated.value.0.truncate(position);
            assert!(vault().open(&truncated).is_err(), "cut at {position}");
        }
    }
}
