use std::time::{Duration, Instant};

use keybearer_core::{CorrelationId, Result};
use serde::{Deserialize, Serialize};

use super::{Call, Member, Method, Nested, from_request, to_json};
use crate::status::Status;

/// `cancelInteractiveFlow`: ends waiting interactive requests of the same connection.
///
/// It matches by connection, not by its own correlation id: other clients send a new one. Our own
/// client names the one flow it means under `keybearer`. Nothing in the request is needed, so
/// nothing in it can be wrong.
#[derive(Debug)]
#[non_exhaustive]
pub struct CancelInteractiveFlow;

/// What to cancel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cancellation {
    /// All interactive requests of the connection.
    All,
    /// The interactive request with this correlation id.
    Flow(CorrelationId),
}

#[derive(Serialize)]
struct Object<'a> {
    error: CancellingError,
    #[serde(skip_serializing_if = "Option::is_none")]
    keybearer: Option<ExtensionOut<'a>>,
}

/// Why the client cancels, in the form Microsoft's client uses. A broker is known to crash on an
/// empty body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CancellingError {
    context: &'static str,
    diagnostics: Option<()>,
    error_code: i64,
    status: i64,
    sub_status: i64,
    tag: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtensionOut<'a> {
    correlation_id: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Members {
    keybearer: Member<Nested<ExtensionIn>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExtensionIn {
    correlation_id: Member<String>,
}

impl CancelInteractiveFlow {
    /// How long a client waits for the answer: cancelling is a courtesy.
    pub const LIMIT: Duration = Duration::from_millis(200);
}

impl Cancellation {
    /// The id of the call that cancels.
    #[must_use]
    pub fn correlation_id(&self) -> CorrelationId {
        match self {
            Self::All => CorrelationId::default(),
            Self::Flow(id) => id.clone(),
        }
    }
}

impl Method for CancelInteractiveFlow {
    type Request = Cancellation;
    type Reply = ();
    type Echo = ();

    const NAME: &'static str = "cancelInteractiveFlow";

    fn encode_request(cancellation: &Cancellation, _: Instant) -> String {
        to_json(&Object {
            error: CancellingError {
                context: "the request was cancelled",
                diagnostics: None,
                error_code: 0,
                status: Status::UserCanceled.as_wire(),
                sub_status: 0,
                tag: 0,
            },
            keybearer: match cancellation {
                Cancellation::All => None,
                Cancellation::Flow(id) => Some(ExtensionOut { correlation_id: id.as_str() }),
            },
        })
    }

    fn decode_request(json: &str, _: &Call) -> Result<(Cancellation, ())> {
        let members: Members = from_request(json).unwrap_or_default();
        let named =
            members.keybearer.lenient().and_then(|Nested(own)| own.correlation_id.lenient());
        let flow = named.map(|id| Cancellation::Flow(CorrelationId::new(&id)));
        Ok((flow.unwrap_or(Cancellation::All), ()))
    }

    fn encode_reply((): &(), (): &()) -> String {
        "{}".to_owned()
    }

    /// What other brokers answer is not known, so any answer will do.
    fn decode_reply(_: &str, _: &Cancellation) -> Result<()> {
        Ok(())
    }
}
