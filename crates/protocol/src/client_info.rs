//! `client_info`: the identity of the account across directories, Microsoft's addition to RFC 6749
//! §5.1.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybearer_core::{Error, HomeAccountId, Result};
use serde::Deserialize;

use crate::encoding::decode;

/// Parses base64url JSON, with or without padding.
///
/// # Errors
/// `Protocol` if the text is not such JSON.
pub fn parse(encoded: &str) -> Result<ClientInfo> {
    decode(encoded).and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(malformed)
}

/// The identity of an account, the same in every directory.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[non_exhaustive]
pub struct ClientInfo {
    /// The object id in the home directory.
    pub uid: String,
    /// The home directory.
    pub utid: String,
}

impl ClientInfo {
    /// The identity as a home account id.
    ///
    /// # Errors
    /// `Protocol` if a part is empty or has unexpected characters.
    pub fn home_account_id(&self) -> Result<HomeAccountId> {
        let id = HomeAccountId::from_parts(&self.uid, &self.utid).map_err(|_| malformed())?;
        // With a dot in the uid, the id would be split at another place.
        if self.uid.contains('.') { Err(malformed()) } else { Ok(id) }
    }
}

/// Encodes an identity for [`parse`].
#[must_use]
pub fn encode(id: &HomeAccountId) -> String {
    // Both parts consist of letters, digits, dots and dashes, so nothing needs escaping.
    URL_SAFE_NO_PAD.encode(format!(r#"{{"uid":"{}","utid":"{}"}}"#, id.uid(), id.utid()))
}

fn malformed() -> Error {
    Error::protocol("client_info with a uid and a utid", "something else")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_further_fields_do_not_matter() {
        for encoded in [
            "eyJ1aWQiOiJPSUQiLCJ1dGlkIjoiVElEIiwieG1zX3RkYnIiOiJFVSJ9",
            "eyJ1aWQiOiJPSUQiLCJ1dGlkIjoiVElEIn0",
            "eyJ1aWQiOiJPSUQiLCJ1dGlkIjoiVElEIn0=",
        ] {
            assert_eq!(parse(encoded).unwrap().home_account_id().unwrap().as_str(), "oid.tid");
        }
    }

    #[test]
    fn what_is_encoded_is_parsed() {
        let id = HomeAccountId::parse("oid.tid").unwrap();
        assert_eq!(parse(&encode(&id)).unwrap().home_account_id().unwrap(), id);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "!", "e30", "eyJ1aWQiOiJhIn0", "bm90IGpzb24"] {
            assert!(parse(bad).is_err(), "{bad:?} should be refused");
        }
        for (uid, utid) in [("", "t"), ("a.b", "t"), ("a", ""), ("a b", "t")] {
            let info = ClientInfo { uid: uid.into(), utid: utid.into() };
            assert!(info.home_account_id().is_err(), "{info:?} should be refused");
        }
    }
}
