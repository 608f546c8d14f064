use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Decodes base64 or base64url, with or without padding, because servers differ.
pub(crate) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let standard: Zeroizing<String> = Zeroizing::new(text.replace('-', "+").replace('_', "/"));
    LENIENT.decode(standard.as_bytes()).ok().map(Zeroizing::new)
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_and_both_paddings_are_read() {
        for text in ["+/8=", "-_8=", "+/8", "-_8"] {
            assert_eq!(decode(text).unwrap().as_slice(), [0xfb, 0xff], "{text}");
        }
        assert!(decode("{}").is_none());
    }
}
