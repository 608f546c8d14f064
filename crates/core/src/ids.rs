use std::fmt;
use std::sync::Arc;

use crate::{Error, Result};

/// Parses an identifier of Entra: `[A-Za-z0-9._-]`, at most 256 bytes; returns it in lower case.
fn identifier(text: &str, field: &'static str) -> Result<Arc<str>> {
    let valid = !text.is_empty()
        && text.len() <= 256
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if valid {
        Ok(text.to_ascii_lowercase().into())
    } else {
        Err(Error::invalid_request(field, format!("'{}' is not a valid {field}", excerpt(text))))
    }
}

/// Shortens untrusted text for messages: at most 64 characters, without control characters.
fn excerpt(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

macro_rules! identifier_type {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses and lower-cases the identifier.
            ///
            /// # Errors
            /// `InvalidRequest` if it is empty, longer than 256 bytes or has other characters than
            /// letters, digits, `.`, `_` and `-`.
            pub fn parse(text: &str) -> Result<Self> {
                identifier(text, $field).map(Self)
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

identifier_type! {
    /// The application (client) id of an app registration, RFC 6749 §2.2; in Entra a GUID.
    ClientId, "client_id"
}
identifier_type! {
    /// A directory: its GUID or one of its verified domain names.
    TenantId, "tenant_id"
}

impl TenantId {
    /// Whether this is a directory's GUID rather than a domain name.
    #[must_use]
    pub fn is_guid(&self) -> bool {
        let groups: Vec<&str> = self.0.split('-').collect();
        groups.len() == 5
            && groups.iter().zip([8, 4, 4, 4, 12]).all(|(group, length)| {
                group.len() == length && group.bytes().all(|b| b.is_ascii_hexdigit())
            })
    }
}

/// A person's identity across tenants: object id, dot, tenant id of their home directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HomeAccountId(Arc<str>);

impl HomeAccountId {
    /// Parses `uid.utid`.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `account` if a part is missing or has unexpected characters.
    pub fn parse(text: &str) -> Result<Self> {
        let id = identifier(text, "account")?;
        match id.split_once('.') {
            Some((uid, utid)) if !uid.is_empty() && !utid.is_empty() => Ok(Self(id)),
            _ => Err(Error::invalid_request(
                "account",
                format!("'{}' is not a home account id (object id, dot, tenant id)", excerpt(text)),
            )),
        }
    }

    /// Joins the `uid` and `utid` of a `client_info` answer.
    ///
    /// # Errors
    /// As [`HomeAccountId::parse`].
    pub fn from_parts(uid: &str, utid: &str) -> Result<Self> {
        Self::parse(&format!("{uid}.{utid}"))
    }

    /// `uid.utid`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The object id in the home directory.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(uid, _)| uid)
    }

    /// The home directory.
    #[must_use]
    pub fn utid(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, utid)| utid)
    }
}

impl fmt::Display for HomeAccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HomeAccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HomeAccountId({})", self.0)
    }
}

/// Identifies one operation in the log lines and errors of all processes and of the server.
///
/// Usually a lower-case UUID, but callers may send any text; characters that are not safe in headers
/// and logs are removed.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct CorrelationId(Arc<str>);

impl CorrelationId {
    /// Keeps at most 64 characters that are safe in headers and logs.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let safe = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        Self(text.chars().filter(safe).take(64).collect::<String>().into())
    }

    /// Makes a version 4 UUID of the given random bytes, RFC 9562 §5.4.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        Self(text.into())
    }

    /// The id as text; may be empty.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CorrelationId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_lower_cased_and_checked() {
        assert_eq!(ClientId::parse("ABC-1").unwrap().as_str(), "abc-1");
        for bad in ["", "a b", "a/b", "é", &"x".repeat(257)] {
            assert!(ClientId::parse(bad).is_err(), "{bad:?} should be refused");
        }
    }

    #[test]
    fn home_account_ids_need_both_parts() {
        let id = HomeAccountId::parse("OID.TID").unwrap();
        assert_eq!((id.uid(), id.utid()), ("oid", "tid"));
        for bad in ["", "oid", ".tid", "oid.", "o/d.tid"] {
            assert!(HomeAccountId::parse(bad).is_err(), "{bad:?} should be refused");
        }
    }

    #[test]
    fn guids_are_told_from_domains() {
        assert!(TenantId::parse("72f988bf-86f1-41af-91ab-2d7cd011db47").unwrap().is_guid());
        assert!(!TenantId::parse("contoso.example").unwrap().is_guid());
    }

    #[test]
    fn correlation_ids_tolerate_anything() {
        assert!(CorrelationId::new("").is_empty());
        assert_eq!(CorrelationId::new("a\r\nb c").as_str(), "abc");
        assert_eq!(
            CorrelationId::from_random([0; 16]).as_str(),
            "00000000-0000-4000-8000-000000000000"
        );
    }
}
