use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use keybearer_core::{Claims, CorrelationId, Denial, Error, ErrorContext, ErrorKind, Missing};
use serde::{Deserialize, Serialize};

use super::Member;
use crate::status::{Status, tag};

/// The error object of the interface: `status`, `tag` and `errorCode` are always there.
///
/// `context` is the whole text, with the server's code, because clients look for codes in it.
/// `diagnostics` carries, as text, what Microsoft's broker puts there (`raw_error_code`,
/// `oauth2_sub_error_code`) and under `keybearer_` keys what it takes to make the same [`Error`]
/// of it again in another Keybearer process; of the causes only the text.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorObject {
    context: String,
    diagnostics: BTreeMap<&'static str, String>,
    error_code: i64,
    status: i64,
    sub_status: i64,
    tag: i64,
}

impl From<&Error> for ErrorObject {
    fn from(error: &Error) -> Self {
        let mut diagnostics = kind_diagnostics(error.kind());
        diagnostics.extend(context_diagnostics(error.context()));
        let causes: Vec<String> = error.causes().collect();
        if !causes.is_empty() {
            diagnostics.insert(CAUSE, causes.join(": "));
        }
        let number = error.context().code.as_deref().and_then(|code| code.strip_prefix(AADSTS));
        Self {
            context: error.to_string(),
            diagnostics,
            error_code: number.and_then(|digits| digits.parse().ok()).unwrap_or(0),
            status: Status::of(error.kind()).as_wire(),
            sub_status: 0,
            tag: tag(error.kind()),
        }
    }
}

fn kind_diagnostics(kind: &ErrorKind) -> BTreeMap<&'static str, String> {
    let mut diagnostics = BTreeMap::from([(KIND, kind_word(kind).to_owned())]);
    match kind {
        ErrorKind::InteractionRequired { claims, suberror } => {
            diagnostics.extend(claims.as_ref().map(|claims| (CLAIMS, claims.as_str().to_owned())));
            diagnostics.extend(suberror.clone().map(|suberror| (SUBERROR, suberror)));
        }
        ErrorKind::Transient { retry_after: Some(wait) } => {
            diagnostics.insert(RETRY_AFTER, wait.as_millis().to_string());
        }
        ErrorKind::InvalidRequest { field } => {
            diagnostics.insert(FIELD, field.to_string());
        }
        ErrorKind::Protocol { expected, received } => {
            diagnostics.insert(EXPECTED, expected.to_string());
            diagnostics.insert(RECEIVED, received.to_string());
        }
        ErrorKind::Unavailable(_)
        | ErrorKind::Cancelled
        | ErrorKind::TimedOut
        | ErrorKind::Transient { retry_after: None }
        | ErrorKind::Denied(_)
        | ErrorKind::Internal => {}
    }
    diagnostics
}

fn context_diagnostics(context: &ErrorContext) -> impl Iterator<Item = (&'static str, String)> {
    let correlation_id = &context.correlation_id;
    let named = [
        (MESSAGE, Some(context.message.clone())),
        (CODE, context.code.clone()),
        (OAUTH_ERROR, context.oauth_error.clone()),
        (CORRELATION_ID, (!correlation_id.is_empty()).then(|| correlation_id.to_string())),
        (TRACE_ID, context.trace_id.clone()),
        (HINT, context.hint.clone()),
    ];
    named.into_iter().filter_map(|(key, value)| Some((key, value?)))
}

/// The error object as brokers send it: any member may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ErrorMembers {
    context: Member<String>,
    diagnostics: Member<BTreeMap<String, String>>,
    status: Member<i64>,
}

impl From<ErrorMembers> for Error {
    fn from(members: ErrorMembers) -> Self {
        let diagnostics = Details(members.diagnostics.lenient().unwrap_or_default());
        let status = Status::from_wire(members.status.lenient().unwrap_or(0));
        let text = members.context.lenient().unwrap_or_default();
        let own = diagnostics.own_kind();
        let code = match &own {
            Some(_) => diagnostics.text(CODE),
            None => aadsts_code(&text).map(str::to_owned),
        };
        let kind = own.unwrap_or_else(|| match status.kind(code.is_some()) {
            ErrorKind::InteractionRequired { .. } => diagnostics.interaction_required(),
            other => other,
        });
        let message = diagnostics.text(MESSAGE).unwrap_or_else(|| match text.as_str() {
            "" => format!("the broker answered with status {}", status.as_wire()),
            text => text.to_owned(),
        });
        let context = ErrorContext {
            message,
            code,
            oauth_error: diagnostics.text(OAUTH_ERROR),
            correlation_id: diagnostics
                .text(CORRELATION_ID)
                .map_or_else(CorrelationId::default, |id| CorrelationId::new(&id)),
            trace_id: diagnostics.text(TRACE_ID),
            hint: diagnostics.text(HINT),
        };
        let error = Self::from_parts(kind, context);
        match diagnostics.text(CAUSE) {
            Some(cause) => error.with_source(cause),
            None => error,
        }
    }
}

/// The `diagnostics` of an error.
struct Details(BTreeMap<String, String>);

impl Details {
    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }

    /// The kind as another Keybearer process wrote it.
    fn own_kind(&self) -> Option<ErrorKind> {
        let word = self.0.get(KIND)?;
        let kind = KINDS.iter().find(|(known, _)| known == word)?.1.clone();
        let or_empty = |key| Cow::Owned(self.text(key).unwrap_or_default());
        Some(match kind {
            ErrorKind::InteractionRequired { .. } => self.interaction_required(),
            ErrorKind::Transient { .. } => {
                let millis = self.0.get(RETRY_AFTER).and_then(|millis| millis.parse().ok());
                ErrorKind::Transient { retry_after: millis.map(Duration::from_millis) }
            }
            ErrorKind::InvalidRequest { .. } => {
                ErrorKind::InvalidRequest { field: or_empty(FIELD) }
            }
            ErrorKind::Protocol { .. } => {
                ErrorKind::Protocol { expected: or_empty(EXPECTED), received: or_empty(RECEIVED) }
            }
            other => other,
        })
    }

    fn interaction_required(&self) -> ErrorKind {
        let claims = self.0.get(CLAIMS).and_then(|text| Claims::parse(text).ok().flatten());
        ErrorKind::InteractionRequired { claims, suberror: self.text(SUBERROR) }
    }
}

/// The first server error code in a text.
fn aadsts_code(text: &str) -> Option<&str> {
    let code = &text[text.find(AADSTS)?..];
    let digits = code[AADSTS.len()..].bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| &code[..AADSTS.len() + digits])
}

fn kind_word(kind: &ErrorKind) -> &'static str {
    let same = |known: &ErrorKind| match (known, kind) {
        (ErrorKind::Unavailable(one), ErrorKind::Unavailable(other)) => one == other,
        (ErrorKind::Denied(one), ErrorKind::Denied(other)) => one == other,
        _ => std::mem::discriminant(known) == std::mem::discriminant(kind),
    };
    KINDS.iter().find(|(_, known)| same(known)).map_or("internal", |(word, _)| word)
}

/// Each kind's word in `keybearer_kind`; details have separate keys.
const KINDS: [(&str, ErrorKind); 15] = [
    ("unavailable.broker", ErrorKind::Unavailable(Missing::Broker)),
    ("unavailable.network", ErrorKind::Unavailable(Missing::Network)),
    ("unavailable.device_registration", ErrorKind::Unavailable(Missing::DeviceRegistration)),
    ("unavailable.key", ErrorKind::Unavailable(Missing::Key)),
    ("unavailable.user_interface", ErrorKind::Unavailable(Missing::UserInterface)),
    ("interaction_required", ErrorKind::InteractionRequired { claims: None, suberror: None }),
    ("cancelled", ErrorKind::Cancelled),
    ("timed_out", ErrorKind::TimedOut),
    ("transient", ErrorKind::Transient { retry_after: None }),
    ("denied.person", ErrorKind::Denied(Denial::Person)),
    ("denied.configuration", ErrorKind::Denied(Denial::Configuration)),
    ("denied.server", ErrorKind::Denied(Denial::Server)),
    ("invalid_request", ErrorKind::InvalidRequest { field: Cow::Borrowed("") }),
    ("protocol", ErrorKind::Protocol { expected: Cow::Borrowed(""), received: Cow::Borrowed("") }),
    ("internal", ErrorKind::Internal),
];

const AADSTS: &str = "AADSTS";

const CAUSE: &str = "keybearer_cause";
const CLAIMS: &str = "keybearer_claims";
const CODE: &str = "keybearer_code";
const CORRELATION_ID: &str = "keybearer_correlation_id";
const EXPECTED: &str = "keybearer_expected";
const FIELD: &str = "keybearer_field";
const HINT: &str = "keybearer_hint";
const KIND: &str = "keybearer_kind";
const MESSAGE: &str = "keybearer_message";
const OAUTH_ERROR: &str = "raw_error_code";
const RECEIVED: &str = "keybearer_received";
const RETRY_AFTER: &str = "keybearer_retry_after_ms";
const SUBERROR: &str = "oauth2_sub_error_code";
const TRACE_ID: &str = "keybearer_trace_id";

#[cfg(test)]
mod tests {
    use super::*;

    fn over_the_wire(error: &Error) -> Error {
        let json = serde_json::to_string(&ErrorObject::from(error)).unwrap();
        serde_json::from_str::<ErrorMembers>(&json).unwrap().into()
    }

    /// One error of each kind, and of each form of a kind.
    fn every_kind() -> Vec<ErrorKind> {
        let mut kinds: Vec<ErrorKind> = KINDS.iter().map(|(_, kind)| kind.clone()).collect();
        kinds.extend([
            ErrorKind::InteractionRequired {
                claims: Claims::parse(r#"{"id_token":{"acr":{"essential":true}}}"#).unwrap(),
                suberror: Some("basic_action".into()),
            },
            ErrorKind::Transient { retry_after: Some(Duration::from_millis(1500)) },
            ErrorKind::InvalidRequest { field: "scopes".into() },
            ErrorKind::Protocol { expected: "JSON".into(), received: "something else".into() },
        ]);
        kinds
    }

    #[test]
    fn every_error_survives_the_way_to_another_process_of_ours() {
        for kind in every_kind() {
            let context = ErrorContext {
                message: "redeem the code".into(),
                code: Some("AADSTS50011".into()),
                oauth_error: Some("invalid_grant".into()),
                correlation_id: CorrelationId::new("c-1"),
                trace_id: Some("t-1".into()),
                hint: Some("register http://localhost".into()),
            };
            let full = Error::from_parts(kind.clone(), context).with_source("disk full");
            let bare = Error::new(kind, "no more is known");
            for error in [full, bare] {
                let back = over_the_wire(&error);
                assert_eq!(back.kind(), error.kind());
                assert_eq!(back.context(), error.context());
                assert!(back.causes().eq(error.causes()));
            }
        }
    }

    #[test]
    fn the_text_keeps_the_server_code_and_the_number_repeats_it() {
        let context = ErrorContext { code: Some("AADSTS50011".into()), ..Default::default() };
        let error = Error::from_parts(ErrorKind::Denied(Denial::Configuration), context);
        let object = ErrorObject::from(&error);
        assert!(object.context.contains("AADSTS50011"));
        assert_eq!((object.error_code, object.status), (50011, 9));
    }

    #[test]
    fn server_codes_are_found_in_text() {
        assert_eq!(aadsts_code("(pii) AADSTS50076: due to"), Some("AADSTS50076"));
        assert_eq!(aadsts_code("AADSTS"), None);
        assert_eq!(aadsts_code("nothing"), None);
    }
}
