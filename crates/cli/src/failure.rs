use std::process::ExitCode;

use keybearer_core::Error;
use serde_json::json;

use crate::exit::Exit;
use crate::output;

/// How an error is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ErrorFormat {
    /// As text on standard error, for people.
    Text,
    /// As JSON on standard output, for programs.
    Json,
}

/// Prints the error, and returns its exit code.
pub(crate) fn report(error: &Error, format: ErrorFormat) -> ExitCode {
    match format {
        ErrorFormat::Text => eprint!("{}", text(error)),
        // If standard output is closed, there is no other place to report it.
        ErrorFormat::Json => drop(output::json(&json(error))),
    }
    Exit::of(error.kind()).into()
}

fn text(error: &Error) -> String {
    let mut text = format!("error: {}\n", error.message());
    for cause in error.causes() {
        text.push_str(&format!("  caused by: {cause}\n"));
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

fn json(error: &Error) -> serde_json::Value {
    let context = error.context();
    let id = &context.correlation_id;
    json!({ "error": {
        "kind": error.kind().name(),
        "message": context.message,
        "code": context.code,
        "correlation_id": (!id.is_empty()).then(|| id.as_str()),
        "hint": context.hint,
    }})
}

#[cfg(test)]
mod tests {
    use keybearer_core::{CorrelationId, Denial, ErrorContext, ErrorKind};

    use super::*;

    fn denied() -> Error {
        let context = ErrorContext {
            message: "could not redeem the code".into(),
            code: Some("AADSTS50011".into()),
            correlation_id: CorrelationId::new("c-1"),
            hint: Some("register http://localhost".into()),
            ..ErrorContext::default()
        };
        Error::from_parts(ErrorKind::Denied(Denial::Configuration), context)
            .with_source(std::io::Error::other("the cause"))
    }

    #[test]
    fn people_read_the_message_its_causes_and_the_next_step() {
        let expected = "error: could not redeem the code (AADSTS50011, correlation id c-1)\n  \
                        caused by: the cause\nhint: register http://localhost\n";
        assert_eq!(text(&denied()), expected);
    }

    #[test]
    fn what_two_refusals_share_is_read_once() {
        let read = text(&denied().with_source(denied()));
        for once in ["could not redeem the code", "AADSTS50011", "c-1", "register http://localhost"]
        {
            assert_eq!(read.matches(once).count(), 1, "{once} in {read}");
        }
    }

    #[test]
    fn programs_read_the_same_as_json() {
        let expected = serde_json::json!({ "error": {
            "kind": "denied", "message": "could not redeem the code", "code": "AADSTS50011",
            "correlation_id": "c-1", "hint": "register http://localhost",
        }});
        assert_eq!(json(&denied()), expected);
        assert_eq!(json(&Error::internal("x"))["error"]["correlation_id"], serde_json::Value::Null);
    }
}
