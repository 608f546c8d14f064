//! The provider's errors: [RFC 6749](https://www.rfc-editor.org/rfc/rfc6749) §4.1.2.1 and §5.2, with
//! Entra's [`AADSTS` codes](https://learn.microsoft.com/entra/identity-platform/reference-error-codes).

mod meaning;
mod report;

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use keybearer_core::{Claims, ClientId, Error, ErrorContext, ErrorKind, Timestamp};
use url::Url;

use self::meaning::Meaning;
use self::report::Report;
use crate::parameters::{is_loopback, redirect_uri};
use crate::{Body, RedirectParameters};

/// Turns an error response into an error; `what` names the request, such as `token request`.
///
/// The error does not contain the body, only the code, the ids and the first line of the
/// description.
#[must_use]
pub fn from_response(response: &http::Response<Body>, what: &str) -> Error {
    let report = Report::of_response(response);
    let status = response.status();
    let busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    if busy || status.is_server_error() {
        let kind = ErrorKind::Transient { retry_after: retry_after(response) };
        let mut context = report.context(what);
        if report.error.is_none() {
            context.message = format!("the {what} was answered with HTTP {}", status.as_u16());
        }
        return Error::from_parts(kind, context).with_hint(BUSY);
    }
    if report.error.is_none() {
        return not_oauth(response, &report, what);
    }
    from_report(&report, what, retry_after(response))
}

/// Turns an authorization answer with `error` into an error, RFC 6749 §4.1.2.1.
#[must_use]
pub fn from_redirect(parameters: &RedirectParameters) -> Error {
    from_report(&Report::of_redirect(parameters), "sign-in", None)
}

/// Names the redirect URI to register in the hint of an error about the redirect URI
/// (`AADSTS50011`). Returns any other error unchanged.
#[must_use]
pub fn with_redirect_hint(error: Error, redirect_uri: &Url, client_id: &ClientId) -> Error {
    match error.context().code.as_deref() {
        Some("AADSTS50011" | "AADSTS500113" | "AADSTS900971") => error.with_hint(format!(
            "add {} to the redirect URIs of the app registration {client_id}, under the platform \
             'Mobile and desktop applications'",
            registered(redirect_uri)
        )),
        _ => error,
    }
}

const BUSY: &str = "try again later: the provider is busy";

/// Turns a reported OAuth error into an error with the kind and the hint for its code.
fn from_report(report: &Report, what: &str, retry_after: Option<Duration>) -> Error {
    let (meaning, hint) = meaning::of(report.code(), report.error.as_deref());
    let kind = match meaning {
        Meaning::Interaction => ErrorKind::InteractionRequired {
            claims: report.claims.as_deref().and_then(|text| Claims::parse(text).ok().flatten()),
            suberror: report.suberror.clone(),
        },
        Meaning::Denied(denial) => ErrorKind::Denied(denial),
        Meaning::Invalid(field) => ErrorKind::InvalidRequest { field: field.into() },
        Meaning::Transient => ErrorKind::Transient { retry_after },
        Meaning::TimedOut => ErrorKind::TimedOut,
    };
    Error::from_parts(kind, report.context(what)).with_hint(hint)
}

/// The error for a response that is not from Entra, but from a proxy, a captive portal or a wrong
/// host. It contains neither the body nor `Location`.
fn not_oauth(response: &http::Response<Body>, report: &Report, what: &str) -> Error {
    let content_type = report::header(response, CONTENT_TYPE.as_str());
    let received = format!(
        "HTTP {} with {}",
        response.status().as_u16(),
        content_type.unwrap_or_else(|| "no content type".into())
    );
    let error = Error::protocol(format!("an OAuth error as answer to the {what}"), received);
    let context = ErrorContext { message: error.context().message.clone(), ..report.context(what) };
    Error::from_parts(error.kind().clone(), context).with_hint(
        "check the authority, and whether a proxy or the network's login page answers instead",
    )
}

/// RFC 9110 §10.2.3: seconds, or a date, which is compared with the server's clock.
fn retry_after(response: &http::Response<Body>) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let at = || Some(parse_date(text)?.saturating_since(date(response)?));
    text.parse().ok().map(Duration::from_secs).or_else(at)
}

/// The time of the server's clock when it responded.
pub(crate) fn date(response: &http::Response<Body>) -> Option<Timestamp> {
    parse_date(response.headers().get(DATE)?.to_str().ok()?)
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let since_epoch = httpdate::parse_http_date(text).ok()?;
    let since_epoch = since_epoch.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix_seconds(0) + since_epoch)
}

/// The redirect URI as it has to be registered. Entra ignores the port of a loopback address (RFC
/// 8252 §7.3).
fn registered(uri: &Url) -> String {
    let mut uri = uri.clone();
    if is_loopback(&uri) {
        // Cannot fail: a loopback address has a host.
        let _ = uri.set_port(None);
    }
    redirect_uri(&uri).to_owned()
}

#[cfg(test)]
mod tests;
