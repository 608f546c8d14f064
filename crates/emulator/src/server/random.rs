//! Random identifiers and secrets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A version 4 GUID.
pub(crate) fn guid() -> String {
    let mut bytes: [u8; 16] = bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `prefix` and 256 random bits, in characters that need no escaping in a URL.
pub(crate) fn secret(prefix: &str) -> String {
    let bytes: [u8; 32] = bytes();
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The user code of the device flow: nine letters and digits that are hard to confuse.
pub(crate) fn user_code() -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let bytes: [u8; 9] = bytes();
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::expect_used, reason = "the emulator cannot work without randomness")]
fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system returns random bytes");
    bytes
}
