use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Builder;
use keybearer_core::{CorrelationId, Error, HomeAccountId, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::parameters::Parameters;
use crate::{Body, error};

/// Builds a GET with the headers Entra expects.
pub(crate) fn get(url: &Url, correlation_id: &CorrelationId) -> Result<http::Request<Body>> {
    finish(http::Request::get(url.as_str()), correlation_id, Body::default())
}

/// Builds a POST of a form with the headers Entra expects; the server routes it by `account`.
pub(crate) fn post(
    url: &Url,
    parameters: &Parameters<'_>,
    account: Option<&HomeAccountId>,
    correlation_id: &CorrelationId,
) -> Result<http::Request<Body>> {
    let mut builder =
        http::Request::post(url.as_str()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(id) = account {
        builder = builder.header("x-anchormailbox", format!("Oid:{}@{}", id.uid(), id.utid()));
    }
    finish(builder, correlation_id, parameters.body())
}

fn finish(
    mut builder: Builder,
    correlation_id: &CorrelationId,
    body: Body,
) -> Result<http::Request<Body>> {
    if !correlation_id.is_empty() {
        builder = builder
            .header("client-request-id", correlation_id.as_str())
            .header("return-client-request-id", "true");
    }
    builder
        .header(ACCEPT, "application/json")
        .header("x-client-sku", "keybearer")
        .header("x-client-ver", env!("CARGO_PKG_VERSION"))
        .body(body)
        .map_err(|error| {
            Error::invalid_request(
                "authority",
                "could not build a request to the provider's address",
            )
            .with_source(error)
        })
}

/// Parses the JSON of a successful response to `what`; any other response becomes an error.
pub(crate) fn read<T: DeserializeOwned>(response: &http::Response<Body>, what: &str) -> Result<T> {
    if !response.status().is_success() {
        return Err(error::from_response(response, what));
    }
    serde_json::from_slice(response.body().expose()).map_err(|error| {
        // Without the text of the JSON error, which may quote the body.
        let (line, column) = (error.line(), error.column());
        Error::protocol(
            format!("the answer to the {what} as JSON"),
            format!("something else at line {line}, column {column}"),
        )
    })
}

/// Returns a field that the response to `what` must have.
pub(crate) fn required<T>(value: Option<T>, field: &str, what: &str) -> Result<T> {
    value.ok_or_else(|| {
        Error::protocol(
            format!("the field {field} in the answer to the {what}"),
            "an answer without it",
        )
    })
}

/// A number of seconds, which Entra's older endpoints write as text.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Seconds {
    Number(u64),
    Text(String),
}

impl Seconds {
    pub(crate) fn duration(self) -> Result<Duration> {
        let seconds = match self {
            Self::Number(seconds) => Some(seconds),
            Self::Text(text) => text.trim().parse().ok(),
        };
        seconds
            .map(Duration::from_secs)
            .ok_or_else(|| Error::protocol("a whole number of seconds", "something else"))
    }
}
