//! The `claims` request parameter (OpenID Connect Core §5.5), as far as Entra reads it.

use serde_json::{Map, Value};

use crate::server::entra_error::EntraError;

/// The claims that a request asks for in its access token.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Claims {
    access_token: Map<String, Value>,
}

impl Claims {
    /// Reads the parameter. An empty one asks for nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, EntraError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let value: Value =
            serde_json::from_str(text).map_err(|_| EntraError::bad_parameter("claims"))?;
        Self::from_value(&value).ok_or_else(|| EntraError::bad_parameter("claims"))
    }

    pub(crate) fn from_value(value: &Value) -> Option<Self> {
        let access_token = match value.as_object()?.get("access_token") {
            None | Some(Value::Null) => Map::new(),
            Some(entry) => entry.as_object()?.clone(),
        };
        Some(Self { access_token })
    }

    /// The client capabilities (`xms_cc`), as the client wrote them. `cp1`, in any case, means that the
    /// client understands claims challenges.
    pub(crate) fn capabilities(&self) -> Vec<String> {
        self.values_of("xms_cc")
    }

    /// The requested authentication contexts (`acrs`).
    pub(crate) fn contexts(&self) -> Vec<String> {
        self.values_of("acrs")
    }

    /// The time the token must not be older than (`nbf`), in seconds since 1970.
    pub(crate) fn not_before(&self) -> Option<i64> {
        self.values_of("nbf").first()?.parse().ok()
    }

    /// Whether these are the claims of the error AADSTS50076.
    pub(crate) fn demand_mfa(&self) -> bool {
        !self.values_of("capolids").is_empty()
    }

    /// The parameter as compact JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({ "access_token": self.access_token }).to_string()
    }

    fn values_of(&self, name: &str) -> Vec<String> {
        let Some(entry) = self.access_token.get(name) else {
            return Vec::new();
        };
        let several = entry.get("values").and_then(Value::as_array);
        let values = several.map(Vec::as_slice).into_iter().flatten().chain(entry.get("value"));
        values
            .filter_map(|value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_parameter_is_read_or_refused() {
        let cases = [
            ("", Some(vec![])),
            ("{}", Some(vec![])),
            (r#"{"access_token":null}"#, Some(vec![])),
            (r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#, Some(vec!["CP1".to_owned()])),
            ("[]", None),
            ("not json", None),
            (r#"{"access_token":3}"#, None),
        ];
        for (text, capabilities) in cases {
            assert_eq!(Claims::parse(text).ok().map(|claims| claims.capabilities()), capabilities);
        }
    }

    #[test]
    fn a_single_value_and_a_list_are_both_understood() {
        let text = r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"},"acrs":{"values":["c1","c2"]}}}"#;
        let claims = Claims::parse(text).unwrap();
        assert_eq!(claims.not_before(), Some(1_604_106_651));
        assert_eq!(claims.contexts(), ["c1", "c2"]);
    }
}
