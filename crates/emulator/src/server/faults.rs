//! Scripted faults: the requests they apply to, and their effects.

use serde::{Deserialize, Serialize};

use crate::server::entra_error::EntraError;

/// A scripted fault, as `POST /emulator/faults` and `[[faults]]` write it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InjectedFault {
    pub(crate) endpoint: Endpoint,
    /// Only requests with this grant type, in the spelling of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    /// The number of matching requests that it still applies to. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u32>,
    /// The number of matching requests that it still lets pass first.
    #[serde(default)]
    pub(crate) after: u32,
    pub(crate) action: Action,
}

impl InjectedFault {
    fn matches(&self, target: &Target<'_>) -> bool {
        self.endpoint == target.endpoint
            && self.times != Some(0)
            && self.grant.as_deref().is_none_or(|grant| Some(grant) == target.grant)
            && self.client_id.as_deref().is_none_or(|id| Some(id) == target.client_id)
    }
}

/// The endpoints that faults can apply to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Endpoint {
    Arm,
    Authorize,
    Blob,
    DeviceCode,
    /// Instance discovery.
    Discovery,
    Jwks,
    /// OpenID configuration.
    Metadata,
    /// Pages and unknown paths, to which no fault applies.
    #[serde(skip)]
    Page,
    Token,
}

/// The effect of a fault.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// The clock is wrong by so many seconds, in the `Date` header and in tokens.
    ClockOffsetSeconds(i64),
    /// The connection is closed.
    Cut(Cut),
    /// The reply is one of Entra's errors.
    Error(ScriptedError),
    /// The reply's JSON is cut off.
    MalformedJson,
    /// The reply's JSON lacks this field.
    MissingField(String),
    Stall(Stall),
    Status(Status),
    /// The id token has a wrong part.
    WrongIdToken(WrongPart),
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cut {
    BeforeResponse,
    MidResponse,
}

/// The Entra error of a fault.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptedError {
    /// The OAuth error, for example `invalid_grant`.
    error: String,
    /// The number of the AADSTS code.
    code: u32,
    #[serde(default)]
    message: String,
    #[serde(default)]
    suberror: Option<String>,
    /// The `claims` of the reply, as the text of a JSON object.
    #[serde(default)]
    claims: Option<String>,
}

impl ScriptedError {
    pub(crate) fn to_entra_error(&self) -> EntraError {
        EntraError {
            suberror: self.suberror.clone(),
            claims: self.claims.clone(),
            ..EntraError::new(400, self.error.clone(), self.code, self.message.clone())
        }
    }
}

/// A late reply, or none.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stall {
    /// Absent: there is no reply.
    #[serde(default)]
    pub(crate) milliseconds: Option<u64>,
}

/// An HTTP status without the reply.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Status {
    pub(crate) code: u16,
    /// `Retry-After` as a number of seconds.
    #[serde(default)]
    pub(crate) retry_after: Option<u32>,
    /// `Retry-After` as an HTTP date so many seconds ahead.
    #[serde(default)]
    pub(crate) retry_after_date: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WrongPart {
    Audience,
    Issuer,
    Nonce,
    Signature,
    Tenant,
}

/// The parts of a request by which faults match.
pub(crate) struct Target<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) grant: Option<&'a str>,
    pub(crate) client_id: Option<&'a str>,
}

/// The faults that still apply, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<InjectedFault>);

impl Faults {
    /// The action for this request, if a fault applies to it. Counts the request for every fault that
    /// lets it pass.
    pub(crate) fn strike(&mut self, target: &Target<'_>) -> Option<Action> {
        let index = self.0.iter_mut().position(|fault| {
            let strikes = fault.matches(target) && fault.after == 0;
            if fault.matches(target) {
                fault.after = fault.after.saturating_sub(1);
            }
            strikes
        })?;
        let fault = &mut self.0[index];
        fault.times = fault.times.map(|times| times.saturating_sub(1));
        let action = fault.action.clone();
        if fault.times == Some(0) {
            self.0.remove(index);
        }
        Some(action)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn faults(value: Value) -> Faults {
        Faults(serde_json::from_value(value).unwrap())
    }

    fn token(grant: &'static str) -> Target<'static> {
        Target { endpoint: Endpoint::Token, grant: Some(grant), client_id: Some("app") }
    }

    #[test]
    fn fault_skips_the_first_then_strikes_its_number_of_times() {
        let mut faults = faults(json!([
            {"endpoint": "token", "after": 1, "times": 2, "action": "malformed_json"}
        ]));
        let struck: Vec<_> =
            (0..4).map(|_| faults.strike(&token("refresh_token")).is_some()).collect();
        assert_eq!(struck, [false, true, true, false]);
    }

    #[test]
    fn faults_take_turns_in_the_order_they_were_added() {
        let mut faults = faults(json!([
            {"endpoint": "token", "after": 1, "times": 1, "action": "malformed_json"},
            {"endpoint": "token", "times": 1, "action": {"missing_field": "scope"}},
            {"endpoint": "token", "times": 0, "action": {"stall": {}}}
        ]));
        let mut strike = || faults.strike(&token("refresh_token"));
        assert!(matches!(strike(), Some(Action::MissingField(_))));
        assert!(matches!(strike(), Some(Action::MalformedJson)));
        assert!(strike().is_none());
    }

    #[test]
    fn fault_meets_only_its_endpoint_grant_and_client() {
        let cases = [
            (json!({"endpoint": "token", "action": {"cut": "before_response"}}), true),
            (json!({"endpoint": "blob", "action": {"cut": "mid_response"}}), false),
            (json!({"endpoint": "token", "grant": "refresh_token", "action": {"stall": {}}}), true),
            (json!({"endpoint": "token", "grant": "device_code", "action": {"stall": {}}}), false),
            (json!({"endpoint": "token", "client_id": "app", "action": {"stall": {}}}), true),
            (json!({"endpoint": "token", "client_id": "other", "action": {"stall": {}}}), false),
        ];
        for (fault, met) in cases {
            let mut faults = faults(json!([fault.clone()]));
            assert_eq!(faults.strike(&token("refresh_token")).is_some(), met, "{fault}");
        }
    }

    #[test]
    fn every_action_has_a_spelling_and_misspellings_are_refused() {
        let good = [
            json!({"status": {"code": 429, "retry_after": 3}}),
            json!({"status": {"code": 503, "retry_after_date": 30}}),
            json!({"stall": {"milliseconds": 5}}),
            json!({"wrong_id_token": "nonce"}),
            json!({"missing_field": "access_token"}),
            json!({"clock_offset_seconds": -600}),
            json!({"error": {"error": "invalid_grant", "code": 70000, "suberror": "bad_token"}}),
        ];
        for action in good {
            assert!(serde_json::from_value::<Action>(action.clone()).is_ok(), "{action}");
        }
        let fault = json!({"endpoint": "token", "time": 1, "action": "malformed_json"});
        assert!(serde_json::from_value::<InjectedFault>(fault).is_err());
    }
}
