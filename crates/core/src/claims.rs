use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// A claims request, OpenID Connect Core §5.5: a JSON object, kept in a canonical form so that equal
/// requests are equal keys.
///
/// A resource that challenges with `insufficient_claims` sends one. A token request that carries one
/// does not use tokens cached without it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claims(Box<str>);

impl Claims {
    /// Parses decoded JSON text; `None` for empty text or an empty object.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `claims` if the text is not a JSON object.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            Error::invalid_request("claims", "the claims are not a JSON object").with_source(error)
        })?;
        Ok(Self::of(object))
    }

    fn of(object: Map<String, Value>) -> Option<Self> {
        let object = sorted(object);
        (!object.is_empty()).then(|| Self(Value::Object(object).to_string().into_boxed_str()))
    }

    /// The canonical JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Separates the client capabilities (`access_token.xms_cc`) from a merged claims request, which
    /// Microsoft's clients send to a broker.
    #[must_use]
    pub fn split(self) -> (Option<Self>, Capabilities) {
        let Ok(mut object) = serde_json::from_str::<Map<String, Value>>(&self.0) else {
            return (Some(self), Capabilities::default());
        };
        let mut capabilities = Capabilities::default();
        if let Some(Value::Object(access_token)) = object.get_mut("access_token") {
            if let Some(cc) = access_token.remove("xms_cc") {
                let values = cc["values"].as_array().cloned().unwrap_or_default();
                capabilities = values.iter().filter_map(Value::as_str).collect();
            }
            if access_token.is_empty() {
                object.remove("access_token");
            }
        }
        (Self::of(object), capabilities)
    }

    /// Merges the claims request with the client's capabilities into the `claims` parameter to send;
    /// `None` if there is neither.
    #[must_use]
    pub fn merge(claims: Option<&Self>, capabilities: &Capabilities) -> Option<Self> {
        let mut object: Map<String, Value> =
            claims.and_then(|claims| serde_json::from_str(&claims.0).ok()).unwrap_or_default();
        if !capabilities.is_empty() {
            let values: Vec<&str> = capabilities.iter().collect();
            let access_token = object.entry("access_token").or_insert_with(|| json!({}));
            if let Value::Object(access_token) = access_token {
                access_token.insert("xms_cc".into(), json!({ "values": values }));
            }
        }
        Self::of(object)
    }
}

/// Sorts the keys at every depth; the map of `serde_json` may keep the order of insertion.
fn sorted(object: Map<String, Value>) -> Map<String, Value> {
    let mut entries: Vec<(String, Value)> = object.into_iter().collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let sort_value = |value| match value {
        Value::Object(inner) => Value::Object(sorted(inner)),
        other => other,
    };
    entries.into_iter().map(|(key, value)| (key, sort_value(value))).collect()
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims({})", self.0)
    }
}

/// The capabilities a client declares (`xms_cc`), such as `cp1`: it handles claims challenges of
/// continuous access evaluation. They are part of the key of cached tokens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Capabilities(BTreeSet<String>);

impl Capabilities {
    /// The capability to handle claims challenges, `cp1`.
    #[must_use]
    pub fn continuous_access_evaluation() -> Self {
        ["cp1"].into_iter().collect()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each capability once, sorted, in lower case.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<'a> FromIterator<&'a str> for Capabilities {
    fn from_iter<I: IntoIterator<Item = &'a str>>(values: I) -> Self {
        Self(values.into_iter().map(str::to_ascii_lowercase).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> Claims {
        Claims::parse(text).unwrap().unwrap()
    }

    #[test]
    fn equal_requests_are_equal_whatever_their_spelling() {
        let one = claims(r#"{"id_token":{"b":1,"a":2}, "access_token":{}}"#);
        assert_eq!(one, claims(r#"{"access_token":{},"id_token":{"a":2,"b":1}}"#));
    }

    #[test]
    fn absent_claims_are_none_and_anything_but_an_object_is_refused() {
        assert_eq!(Claims::parse(" ").unwrap(), None);
        assert_eq!(Claims::parse("{}").unwrap(), None);
        for bad in ["[]", "1", "{", "null"] {
            assert!(Claims::parse(bad).is_err(), "{bad:?} should be refused");
        }
    }

    #[test]
    fn capabilities_survive_a_merge_and_a_split() {
        let challenge = claims(r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#);
        let cae = Capabilities::continuous_access_evaluation();
        let merged = Claims::merge(Some(&challenge), &cae).unwrap();
        assert_eq!(merged.split(), (Some(challenge), cae.clone()));
        let alone = Claims::merge(None, &cae).unwrap();
        assert_eq!(alone.as_str(), r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#);
        assert_eq!(alone.split(), (None, cae));
        assert_eq!(Claims::merge(None, &Capabilities::default()), None);
    }

    #[test]
    fn the_case_of_capabilities_does_not_matter() {
        assert_eq!(
            ["CP1"].into_iter().collect::<Capabilities>(),
            Capabilities::continuous_access_evaluation()
        );
    }
}
