//! Proof of key for code exchange, [RFC 7636](https://www.rfc-editor.org/rfc/rfc7636), and the other
//! one-time values of a sign-in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybearer_core::CodeVerifier;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Makes a verifier of 256 bits, RFC 7636 §4.1.
#[must_use]
pub fn verifier(random: [u8; 32]) -> CodeVerifier {
    CodeVerifier::new(URL_SAFE_NO_PAD.encode(*Zeroizing::new(random)))
}

/// Computes the `S256` challenge of a verifier, RFC 7636 §4.2.
#[must_use]
pub fn challenge(verifier: &CodeVerifier) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()))
}

/// Encodes random bytes as `state` (RFC 6749 §10.12) and `nonce` (OpenID Connect Core §3.1.2.1).
#[must_use]
pub fn opaque<const N: usize>(random: [u8; N]) -> String {
    URL_SAFE_NO_PAD.encode(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifier_and_challenge_are_those_of_rfc_7636_appendix_b() {
        let verifier = verifier([
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212,
            37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
        ]);
        assert_eq!(verifier.expose(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn one_time_values_need_no_escaping_in_a_url() {
        assert_eq!(opaque([0xff; 4]), "_____w");
    }
}
