//! Entra's errors: OAuth error, AADSTS code, text, and JSON body.

use serde_json::{Value, json};

use crate::server::clock::entra_date;
use crate::server::random::guid;

/// An error without the request and the time, which [`EntraError::body`] adds.
#[derive(Clone, Debug)]
pub(crate) struct EntraError {
    /// The HTTP status at the token endpoint.
    pub(crate) status: u16,
    /// The OAuth error, for example `invalid_grant`.
    pub(crate) error: String,
    /// The number of the AADSTS code.
    pub(crate) code: u32,
    pub(crate) message: String,
    pub(crate) suberror: Option<String>,
    pub(crate) claims: Option<String>,
}

impl EntraError {
    pub(crate) fn new(
        status: u16,
        error: impl Into<String>,
        code: u32,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            error: error.into(),
            code,
            message: message.into(),
            suberror: None,
            claims: None,
        }
    }

    pub(crate) fn invalid_grant(code: u32, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_grant", code, message)
    }

    pub(crate) fn invalid_request(code: u32, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request", code, message)
    }

    pub(crate) fn missing_parameter(name: &str) -> Self {
        let message = format!("The request body must contain the following parameter: '{name}'.");
        Self::invalid_request(900_144, message)
    }

    pub(crate) fn bad_parameter(name: &str) -> Self {
        Self::invalid_request(90_100, format!("{name} parameter is empty or not valid."))
    }

    pub(crate) fn unknown_tenant(name: &str) -> Self {
        let message = format!(
            "Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are \
             signing into the correct cloud. Check with your subscription administrator, this may \
             happen if there are no active subscriptions for the tenant."
        );
        Self::invalid_request(90_002, message)
    }

    pub(crate) fn unknown_client(client_id: &str, tenant: &str) -> Self {
        let message = format!(
            "Application with identifier '{client_id}' was not found in the directory '{tenant}'. \
             This can happen if the application has not been installed by the administrator of the \
             tenant or consented to by any user in the tenant. You may have sent your \
             authentication request to the wrong tenant."
        );
        Self::new(400, "unauthorized_client", 700_016, message)
    }

    pub(crate) fn not_a_member(upn: &str, tenant: &str) -> Self {
        let message = format!(
            "User account '{upn}' from identity provider does not exist in tenant '{tenant}' and \
             cannot access the application in that tenant. The account needs to be added as an \
             external user in the tenant first. Sign out and sign in again with a different Azure \
             Active Directory user account."
        );
        Self::invalid_grant(50_020, message)
    }

    /// More authentication is needed: the client must sign the user in interactively with `claims`.
    pub(crate) fn mfa_required(resource: &str) -> Self {
        let claims = json!({"access_token": {"capolids": {
            "essential": true,
            "values": ["5e1a7c9b-6d2f-4f38-9b0e-2a4c6e8f1d03"],
        }}});
        Self {
            suberror: Some("basic_action".into()),
            claims: Some(claims.to_string()),
            ..Self::new(
                400,
                "interaction_required",
                50_076,
                format!(
                    "Due to a configuration change made by your administrator, or because you \
                     moved to a new location, you must use multi-factor authentication to access \
                     '{resource}'."
                ),
            )
        }
    }

    /// `AADSTS50076`, or the OAuth error where Entra gives no code (device flow polling).
    pub(crate) fn name(&self) -> String {
        format!("AADSTS{}", self.code)
    }

    /// The text with the ids and the time that Entra adds for its support.
    pub(crate) fn description(&self, trace: &Trace) -> String {
        format!(
            "{}: {} Trace ID: {} Correlation ID: {} Timestamp: {}",
            self.name(),
            self.message,
            trace.trace_id,
            trace.correlation_id,
            entra_date(trace.now)
        )
    }

    /// The address of the page that explains the code.
    pub(crate) fn uri(&self) -> String {
        format!("https://login.microsoftonline.com/error?code={}", self.code)
    }

    pub(crate) fn body(&self, trace: &Trace) -> Value {
        let mut body = json!({
            "error": self.error,
            "error_description": self.description(trace),
            "error_codes": [self.code],
            "timestamp": entra_date(trace.now),
            "trace_id": trace.trace_id,
            "correlation_id": trace.correlation_id,
            "error_uri": self.uri(),
        });
        if let Some(suberror) = &self.suberror {
            body["suberror"] = json!(suberror);
        }
        if let Some(claims) = &self.claims {
            body["claims"] = json!(claims);
        }
        body
    }
}

/// The ids and the time of a request.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) trace_id: String,
    /// The client's `client-request-id`, or a new id.
    pub(crate) correlation_id: String,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

impl Trace {
    pub(crate) fn new(client_request_id: Option<&str>, now: i64) -> Self {
        let sent = client_request_id.filter(|id| !id.is_empty() && id.len() <= 64 && id.is_ascii());
        Self { trace_id: guid(), correlation_id: sent.map_or_else(guid, str::to_owned), now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_entras_fields_and_the_callers_correlation_id() {
        let trace = Trace::new(Some("my-id"), 784_111_777);
        let body = EntraError::mfa_required("r").body(&trace);
        assert_eq!(body["error"], "interaction_required");
        assert_eq!(body["error_codes"], json!([50_076]));
        assert_eq!(body["suberror"], "basic_action");
        assert_eq!(body["correlation_id"], "my-id");
        assert_eq!(body["timestamp"], "1994-11-06 08:49:37Z");
        let text = body["error_description"].as_str().unwrap();
        assert!(text.starts_with("AADSTS50076: ") && text.contains("Correlation ID: my-id"));
        assert!(body["claims"].as_str().unwrap().contains("capolids"));
    }
}
