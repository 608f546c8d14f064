//! The replies of handlers, and how faults change them.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use futures_util::stream;
use serde_json::Value;

use crate::server::clock::http_date;
use crate::server::entra_error::{EntraError, Trace};
use crate::server::faults::{Action, Cut, Endpoint, Status};
use crate::server::html::Page;

/// A response as text, with its outcome for the request log.
#[derive(Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    pub(crate) outcome: String,
}

/// Marks a response that must not be sent: the connection is closed instead.
#[derive(Clone, Copy)]
pub(crate) struct ClosesConnection;

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: String, outcome: &str) -> Self {
        let headers = vec![
            ("content-type", content_type.to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        Self { status, headers, body, outcome: outcome.to_owned() }
    }

    pub(crate) fn json(value: &Value, outcome: &str) -> Self {
        Self::new(200, "application/json; charset=utf-8", value.to_string(), outcome)
    }

    pub(crate) fn page(page: &Page, outcome: &str) -> Self {
        Self::new(200, "text/html; charset=utf-8", page.to_html(), outcome)
            .with("x-frame-options", "DENY")
            .with(
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
            )
    }

    pub(crate) fn error(error: &EntraError, trace: &Trace) -> Self {
        let body = error.body(trace);
        Self { status: error.status, ..Self::json(&body, &error.name()) }
    }

    pub(crate) fn redirect(location: &str, outcome: &str) -> Self {
        let mut reply = Self::new(302, "text/plain", String::new(), outcome);
        reply.headers.push(("location", location.to_owned()));
        reply
    }

    /// The reply of a service that is overloaded or broken.
    pub(crate) fn status(status: &Status, endpoint: Endpoint, trace: &Trace) -> Self {
        let outcome = status.code.to_string();
        let reply = if endpoint == Endpoint::Blob {
            crate::server::blob::error(status.code, "ServerBusy", "The server is busy.", trace)
        } else {
            let code = if status.code == 429 { 90_055 } else { 90_033 };
            let message = "A transient error has occurred. Please try again.";
            let error = EntraError::new(status.code, "temporarily_unavailable", code, message);
            Self { status: status.code, ..Self::json(&error.body(trace), &outcome) }
        };
        let reply = Self { outcome, ..reply };
        let date = status.retry_after_date.map(|ahead| http_date(trace.now + i64::from(ahead)));
        match date.or_else(|| status.retry_after.map(|seconds| seconds.to_string())) {
            Some(retry_after) => reply.with("retry-after", &retry_after),
            None => reply,
        }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Applies a fault that changes the body.
    #[must_use]
    pub(crate) fn spoiled(mut self, action: &Action) -> Self {
        match action {
            Action::MalformedJson => {
                let half = self.body.len() / 2;
                let half = (half..self.body.len()).find(|at| self.body.is_char_boundary(*at));
                self.body.truncate(half.unwrap_or_default());
            }
            Action::MissingField(name) => {
                if let Ok(Value::Object(mut fields)) = serde_json::from_str(&self.body) {
                    fields.remove(name);
                    self.body = Value::Object(fields).to_string();
                }
            }
            _ => return self,
        }
        self.outcome = format!("{} spoiled", self.outcome);
        self
    }

    pub(crate) fn into_response(self, trace: &Trace) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let common = [
            ("date", http_date(trace.now)),
            ("x-ms-request-id", trace.trace_id.clone()),
            ("client-request-id", trace.correlation_id.clone()),
        ];
        for (name, value) in self.headers.into_iter().chain(common) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        *response.body_mut() = Body::from(self.body);
        response
    }

    /// The response of a fault that closes the connection before or within it.
    pub(crate) fn into_cut_response(self, cut: Cut, trace: &Trace) -> Response<Body> {
        let body = self.body.clone();
        let mut response = self.into_response(trace);
        match cut {
            Cut::BeforeResponse => {
                response.extensions_mut().insert(ClosesConnection);
            }
            Cut::MidResponse => {
                let announced = HeaderValue::from(body.len().max(2));
                response.headers_mut().insert(header::CONTENT_LENGTH, announced);
                *response.body_mut() = half_then_error(body);
            }
        }
        response
    }
}

/// Waits before the error, so that the first half has been sent.
fn half_then_error(body: String) -> Body {
    let half = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
    let first = stream::once(async move { Ok::<_, io::Error>(half) });
    let second = stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(io::Error::other("cut by a scripted fault"))
    });
    Body::from_stream(stream::StreamExt::chain(first, second))
}
