use std::fmt;

use crate::{Error, Result};

/// Scopes that belong to sign-in, not to a resource: OpenID Connect Core §5.4 and §11.
pub const OIDC_SCOPES: [&str; 4] = ["email", "offline_access", "openid", "profile"];

/// The resource of a scope that names none, in Entra.
const DEFAULT_RESOURCE: &str = "https://graph.microsoft.com";

/// The resource scopes of one token: sorted, without duplicates, all of one resource (RFC 6749
/// §3.3; Entra issues an access token for exactly one).
///
/// Parsing drops sign-in scopes ([`OIDC_SCOPES`]), because every request adds them. The empty set,
/// [`sign_in`](Self::sign_in), requests only these.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeSet(Box<[Box<str>]>);

impl ScopeSet {
    /// Parses the scopes a caller requests.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `scopes` if there are sign-in scopes only, one is not a scope, or
    /// two belong to different resources.
    pub fn parse<S: AsRef<str>>(scopes: &[S]) -> Result<Self> {
        let mut parsed: Vec<Box<str>> = Vec::with_capacity(scopes.len());
        for scope in scopes.iter().map(AsRef::as_ref) {
            check(scope)?;
            if !OIDC_SCOPES.contains(&scope) {
                parsed.push(scope.into());
            }
        }
        parsed.sort_unstable();
        parsed.dedup();
        let Some(first) = parsed.first() else {
            return Err(invalid("no resource scope was given".into()));
        };
        if let Some(other) = parsed.iter().find(|scope| resource(scope) != resource(first)) {
            return Err(invalid(format!(
                "the scopes belong to different resources: {} and {}",
                resource(first),
                resource(other)
            )));
        }
        Ok(Self(parsed.into_boxed_slice()))
    }

    /// The set without a resource scope. Entra then issues an ID token and an access token for the
    /// UserInfo endpoint (OpenID Connect Core §5.3), which belongs to Microsoft Graph.
    #[must_use]
    pub fn sign_in() -> Self {
        Self(Box::default())
    }

    /// As [`parse`](Self::parse), but returns [`sign_in`](Self::sign_in) for sign-in scopes only or no
    /// scope at all.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `scopes` if one is not a scope, or two belong to different
    /// resources.
    pub fn parse_or_sign_in<S: AsRef<str>>(scopes: &[S]) -> Result<Self> {
        match scopes.iter().all(|scope| OIDC_SCOPES.contains(&scope.as_ref())) {
            true => Ok(Self::sign_in()),
            false => Self::parse(scopes),
        }
    }

    /// Each scope once, in sorted order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The resource (audience) of the scopes, without a trailing slash.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.0.first().map_or(DEFAULT_RESOURCE, |scope| resource(scope))
    }

    /// Whether the set equals `scopes` in any order, ignoring sign-in scopes. Does not allocate.
    #[must_use]
    pub fn matches(&self, scopes: &[&str]) -> bool {
        let wanted = || scopes.iter().filter(|scope| !OIDC_SCOPES.contains(scope));
        wanted().count() >= self.0.len()
            && wanted().all(|scope| self.iter().any(|own| own == *scope))
            && self.iter().all(|own| scopes.contains(&own))
    }
}

/// Space separated, as on the wire.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopeSet({self})")
    }
}

/// RFC 6749 §3.3: printable ASCII without space, quote and backslash.
fn check(scope: &str) -> Result<()> {
    let valid = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if scope.is_empty() || scope.len() > 1024 || !scope.bytes().all(valid) {
        let shown: String = scope.chars().filter(|c| !c.is_control()).take(64).collect();
        return Err(invalid(format!("'{shown}' is not a scope")));
    }
    Ok(())
}

/// The part before the last slash; a scope without one belongs to Microsoft Graph.
fn resource(scope: &str) -> &str {
    scope.rsplit_once('/').map_or(DEFAULT_RESOURCE, |(resource, _)| resource.trim_end_matches('/'))
}

fn invalid(message: String) -> Error {
    Error::invalid_request("scopes", message)
        .with_hint("ask for the scopes of one resource, such as https://storage.azure.com/.default")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORAGE: &str = "https://storage.azure.com/.default";

    #[test]
    fn sign_in_scopes_and_duplicates_are_dropped_and_the_order_does_not_matter() {
        let set = ScopeSet::parse(&["openid", "User.Read", "Mail.Read", "User.Read"]).unwrap();
        assert_eq!(set.to_string(), "Mail.Read User.Read");
        assert_eq!(set.resource(), "https://graph.microsoft.com");
        assert!(set.matches(&["User.Read", "openid", "Mail.Read"]));
        assert!(!set.matches(&["User.Read"]));
        assert!(!set.matches(&["User.Read", "Mail.Read", "Files.Read"]));
    }

    #[test]
    fn where_signing_in_is_enough_no_resource_needs_to_be_named() {
        let none: [&str; 0] = [];
        assert_eq!(ScopeSet::parse_or_sign_in(&none).unwrap(), ScopeSet::sign_in());
        let set = ScopeSet::parse_or_sign_in(&["openid", "profile"]).unwrap();
        assert_eq!((set.to_string(), set.resource()), (String::new(), DEFAULT_RESOURCE));
        assert_eq!(ScopeSet::parse_or_sign_in(&["openid", "x"]).unwrap().to_string(), "x");
        for refused in [&["openid", ""][..], &["openid", "a b"]] {
            assert!(ScopeSet::parse_or_sign_in(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn scopes_of_one_resource_go_together() {
        for scopes in [
            ["User.Read", "https://graph.microsoft.com/Mail.Read"],
            [STORAGE, "https://storage.azure.com/user_impersonation"],
            [
                "https://management.core.windows.net//.default",
                "https://management.core.windows.net/x",
            ],
        ] {
            ScopeSet::parse(&scopes).unwrap();
        }
    }

    #[test]
    fn empty_malformed_or_mixed_scopes_are_refused() {
        let cases: [&[&str]; 6] = [
            &[],
            &[""],
            &["openid", "profile"],
            &["a b"],
            &[STORAGE, "https://vault.azure.net/.default"],
            &[STORAGE, "User.Read"],
        ];
        for scopes in cases {
            assert!(ScopeSet::parse(scopes).is_err(), "{scopes:?} should be refused");
        }
    }
}
