//! Errors on their way to Python. Which class each kind becomes is one table, in
//! `keybearer/_exceptions.py`: the classes derive from azure-core's, which is imported only when
//! something has failed.

use std::borrow::Cow;

use keybearer_core::{Denial, Error, ErrorKind, Missing};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// What the failed call was like, as far as the exception depends on it.
pub(crate) struct FailureContext<'a, 'py> {
    pub(crate) scopes: &'a Bound<'py, PyTuple>,
    pub(crate) claims: Option<&'a str>,
    /// The credential must not ask a person, so asking is left to the program.
    pub(crate) silent_only: bool,
}

/// The exception of a failed request.
pub(crate) fn to_python(error: &Error, circumstances: &FailureContext<'_, '_>) -> PyErr {
    let py = circumstances.scopes.py();
    exception(py, error, circumstances).map_or_else(|failure| failure, PyErr::from_value)
}

fn exception<'py>(
    py: Python<'py>,
    error: &Error,
    circumstances: &FailureContext<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let (context, mut claims, mut retry_after) = (error.context(), circumstances.claims, None);
    match error.kind() {
        ErrorKind::InteractionRequired { claims: Some(demanded), .. } => {
            claims = Some(demanded.as_str());
        }
        ErrorKind::Transient { retry_after: Some(wait) } => retry_after = Some(wait.as_secs_f64()),
        _ => {}
    }
    let details = PyDict::new(py);
    details.set_item("code", context.code.as_deref())?;
    details.set_item("correlation_id", filled(context.correlation_id.as_str()))?;
    details.set_item("trace_id", context.trace_id.as_deref())?;
    details.set_item("hint", error.hint())?;
    details.set_item("retry_after", retry_after)?;
    let keywords = PyDict::new(py);
    keywords.set_item("details", details)?;
    keywords.set_item("scopes", circumstances.scopes)?;
    keywords.set_item("claims", claims)?;
    keywords.set_item("silent_only", circumstances.silent_only)?;
    py.import("keybearer._exceptions")?
        .getattr("for_kind")?
        .call((error.kind().name(), text(error)), Some(&keywords))
}

/// The message, its causes and the next step: Python has no other place for the causes.
pub(crate) fn text(error: &Error) -> String {
    let mut text = error.full_message();
    // Programs look for these words of azure-identity's.
    if *error.kind() == ErrorKind::TimedOut && !error.message().contains("timed out") {
        text = format!("timed out: {text}");
    }
    error.hint().map_or_else(|| text.clone(), |hint| format!("{text}; {hint}"))
}

/// One of each kind, by which the tests compare the two sides of the table.
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

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
