use keybearer_core::{CorrelationId, ErrorContext};
use serde_json::{Map, Value};

use crate::{Body, RedirectParameters};

/// The fields of a provider's error, from a response or a redirect.
#[derive(Default)]
pub(super) struct Report {
    /// RFC 6749 §5.2 `error`; `None` if this is not an OAuth error.
    pub(super) error: Option<String>,
    pub(super) suberror: Option<String>,
    pub(super) claims: Option<String>,
    description: String,
    code: Option<u32>,
    correlation_id: Option<String>,
    trace_id: Option<String>,
}

impl Report {
    pub(super) fn of_response(response: &http::Response<Body>) -> Self {
        let body: Map<String, Value> =
            serde_json::from_slice(response.body().expose()).unwrap_or_default();
        let report = Self::of(|name| body.get(name)?.as_str());
        let listed = body.get("error_codes").and_then(|codes| codes.get(0)?.as_u64());
        Self {
            code: listed.and_then(|code| code.try_into().ok()).or(report.code),
            trace_id: report.trace_id.or_else(|| header(response, "x-ms-request-id")),
            correlation_id: report.correlation_id.or_else(|| header(response, "client-request-id")),
            ..report
        }
    }

    pub(super) fn of_redirect(parameters: &RedirectParameters) -> Self {
        let report = Self::of(|name| parameters.only(name));
        let subcode = parameters.only("error_subcode").and_then(word);
        Self { suberror: report.suberror.or(subcode), ..report }
    }

    fn of<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Self {
        let text = field("error_description").unwrap_or_default();
        Self {
            error: field("error").and_then(word),
            suberror: field("suberror").and_then(word),
            claims: field("claims").map(str::to_owned),
            description: first_line(text),
            code: after(text, "AADSTS").and_then(|digits| digits.parse().ok()),
            correlation_id: field("correlation_id")
                .and_then(word)
                .or_else(|| after(text, "Correlation ID: ")),
            trace_id: field("trace_id").and_then(word).or_else(|| after(text, "Trace ID: ")),
        }
    }

    pub(super) fn code(&self) -> Option<u32> {
        self.code
    }

    pub(super) fn context(&self, what: &str) -> ErrorContext {
        let said = if self.description.is_empty() {
            self.error.as_deref().unwrap_or("no reason was given")
        } else {
            &self.description
        };
        ErrorContext {
            message: format!("the {what} was refused: {said}"),
            code: self.code.map(|code| format!("AADSTS{code}")),
            oauth_error: self.error.clone(),
            correlation_id: CorrelationId::new(self.correlation_id.as_deref().unwrap_or_default()),
            trace_id: self.trace_id.clone(),
            hint: None,
        }
    }
}

/// The value of a header, if it is safe in messages.
pub(super) fn header(response: &http::Response<Body>, name: &str) -> Option<String> {
    let text = response.headers().get(name)?.to_str().ok()?;
    word(text.split(';').next()?.trim())
}

/// Accepts codes and ids: short words without spaces.
fn word(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

/// The word of letters, digits and dashes after `label`.
fn after(text: &str, label: &str) -> Option<String> {
    let (_, rest) = text.split_once(label)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
    word(&rest[..end])
}

/// The description without the ids at its end. Words as long as tokens are left out, because a
/// server may quote a token.
fn first_line(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let line = line.split("Trace ID:").next().unwrap_or_default();
    let shown = |word| if str::len(word) > LONGEST_WORD { "…" } else { word };
    let words: Vec<&str> = line.split_whitespace().map(shown).collect();
    let line = words.join(" ");
    let printable = line.chars().filter(|c| !c.is_control()).take(LONGEST_LINE);
    printable.collect::<String>().trim_end_matches('.').to_owned()
}

const LONGEST_WORD: usize = 100;
const LONGEST_LINE: usize = 500;
