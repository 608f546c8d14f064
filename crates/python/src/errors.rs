//! Converts errors to Python exceptions. The table from kind to class is in
//! `keybearer/_exceptions.py`, because the classes derive from azure-core's, which is imported only
//! when a request has failed.

use std::borrow::Cow;

use keybearer_core::{Denial, Error, ErrorKind, Missing};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// The parts of a failed call on which its exception depends.
pub(crate) struct FailureContext<'a, 'py> {
    pub(crate) scopes: &'a Bound<'py, PyTuple>,
    pub(crate) claims: Option<&'a str>,
    /// The credential must not prompt, so the program has to call `authenticate`.
    pub(crate) silent_only: bool,
}

/// The exception of a failed request.
pub(crate) fn to_python(error: &Error, failed: &FailureContext<'_, '_>) -> PyErr {
    exception(error, failed).map_or_else(|failure| failure, PyErr::from_value)
}

fn exception<'py>(error: &Error, failed: &FailureContext<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = failed.scopes.py();
    let (context, mut claims, mut retry_after) = (error.context(), failed.claims, None);
    match error.kind() {
        ErrorKind::InteractionRequired { claims: Some(demanded), .. } => {
            claims = Some(demanded.as_str());
        }
        ErrorKind::Transient { retry_after: Some(wait) } => retry_after = Some(wait.as_secs_f64()),
        _ => {}
    }
    let details = PyDict::new(py);
    details.set_item("code", context.code.as_deref())?;
    details.set_item("correlation_id", non_empty(context.correlation_id.as_str()))?;
    details.set_item("trace_id", context.trace_id.as_deref())?;
    details.set_item("hint", error.hint())?;
    details.set_item("retry_after", retry_after)?;
    let keywords = PyDict::new(py);
    keywords.set_item("details", details)?;
    keywords.set_item("scopes", failed.scopes)?;
    keywords.set_item("claims", claims)?;
    keywords.set_item("silent_only", failed.silent_only)?;
    py.import("keybearer._exceptions")?
        .getattr("for_kind")?
        .call((error.kind().name(), text(error)), Some(&keywords))
}

/// The message, its causes and the hint in one line: a Python exception has no separate place for
/// the causes.
pub(crate) fn text(error: &Error) -> String {
    let mut text = error.full_message();
    // Programs search the message for these words, which azure-identity uses.
    if *error.kind() == ErrorKind::TimedOut && !error.message().contains("timed out") {
        text = format!("timed out: {text}");
    }
    error.hint().map_or_else(|| text.clone(), |hint| format!("{text}; {hint}"))
}

/// One error of each kind, so that a test can compare the two sides of the table.
pub(crate) const KINDS: [ErrorKind; 9] = [
    ErrorKind::Unavailable(Missing::Broker),
    ErrorKind::InteractionRequired { claims: None, suberror: None },
    ErrorKind::Cancelled,
    ErrorKind::TimedOut,
    ErrorKind::Transient { retry_after: None },
    ErrorKind::Denied(Denial::Server),
    ErrorKind::InvalidRequest { field: Cow::Borrowed("") },
    ErrorKind::Protocol { expected: Cow::Borrowed(""), received: Cow::Borrowed("") },
    ErrorKind::Internal,
];

fn non_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
