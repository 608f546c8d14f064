use std::fmt;

use url::form_urlencoded;
use zeroize::Zeroizing;

/// The parameters of an authorization answer, from the query of a GET or the form of a POST (RFC
/// 6749 §4.1.2, OAuth 2.0 Form Post Response Mode). They are not checked yet.
#[derive(Default)]
pub struct RedirectParameters(Vec<(String, Zeroizing<String>)>);

impl RedirectParameters {
    /// Parses `application/x-www-form-urlencoded` text.
    #[must_use]
    pub fn parse(encoded: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(encoded);
        Self(pairs.map(|(name, value)| (name.into(), Zeroizing::new(value.into()))).collect())
    }

    /// The value of a parameter that is present exactly once; a repeated one counts as absent.
    #[must_use]
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(own, _)| own == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Whether a parameter is present, once or more often.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    /// Whether there is any parameter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Prints only the names.
impl fmt::Debug for RedirectParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_parameter_is_as_good_as_absent() {
        let parameters = RedirectParameters::parse(b"code=a&code=b&state=s%20t");
        assert_eq!((parameters.only("code"), parameters.only("state")), (None, Some("s t")));
        assert_eq!(format!("{parameters:?}"), r#"["code", "code", "state"]"#);
    }
}
