use std::sync::Arc;

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::{AsyncRawResponse, HttpClient, Method, Request, Url};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use keybearer_core::{Error, Missing, Result};
use keybearer_engine::Http;
use keybearer_protocol::Body;

/// Bytes; providers' responses are far smaller.
const BODY_LIMIT: usize = 1024 * 1024;

/// Sends the engine's requests through an HTTP client of the Azure SDK.
#[derive(Clone, Debug)]
pub(crate) struct Transport(Arc<dyn HttpClient>);

impl Transport {
    pub(crate) fn shared(client: Arc<dyn HttpClient>) -> Arc<dyn Http> {
        Arc::new(Self(client))
    }
}

#[async_trait]
impl Http for Transport {
    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>> {
        let host = request.uri().host().unwrap_or("nowhere").to_owned();
        let request = to_azure(request)?;
        let response = self.0.execute_request(&request).await;
        from_azure(&host, response.map_err(|error| problem(&host, error))?).await
    }
}

/// Lets the SDK read a body in place, so that it is not copied and is wiped after use.
struct Lent(Body);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

fn to_azure(request: http::Request<Body>) -> Result<Request> {
    let (parts, body) = request.into_parts();
    let method = match parts.method {
        http::Method::GET => Method::Get,
        http::Method::POST => Method::Post,
        other => {
            return Err(Error::internal(format!(
                "could not send a request with the method {other}"
            )));
        }
    };
    let url = Url::parse(&parts.uri.to_string()).map_err(|error| {
        Error::internal("could not parse the address of a request").with_source(error)
    })?;
    let mut request = Request::new(url, method);
    for (name, value) in &parts.headers {
        let value = value.to_str();
        let value = value.map_err(|error| {
            Error::internal(format!("could not send the header {name}")).with_source(error)
        })?;
        request.insert_header(name.as_str().to_owned(), value.to_owned());
    }
    request.set_body(Bytes::from_owner(Lent(body)));
    Ok(request)
}

async fn from_azure(host: &str, response: AsyncRawResponse) -> Result<http::Response<Body>> {
    let (status, headers, mut body) = response.deconstruct();
    let mut content = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| problem(host, error))?;
        if content.len() + chunk.len() > BODY_LIMIT {
            return Err(Error::protocol("an answer of at most 1 MiB", "a longer one"));
        }
        content.extend_from_slice(&chunk);
    }
    let mut answer = http::Response::new(Body::new(content));
    *answer.status_mut() = http::StatusCode::from_u16(u16::from(status))
        .map_err(|_| Error::protocol("an HTTP status", format!("{}", u16::from(status))))?;
    // Headers that are invalid by RFC 9110 are not needed.
    let headers = headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        Some((name, HeaderValue::from_str(value.as_str()).ok()?))
    });
    *answer.headers_mut() = headers.collect::<HeaderMap>();
    Ok(answer)
}

fn problem(host: &str, error: azure_core::Error) -> Error {
    match error.kind() {
        ErrorKind::Connection => {
            Error::unavailable(Missing::Network, format!("could not connect to {host}"))
                .with_hint("check the network, and the HTTP client of the program")
        }
        ErrorKind::Io => {
            Error::transient(None, format!("could not exchange a request with {host}"))
                .with_hint("try again; if it happens again, check the connection and the proxy")
        }
        _ => Error::internal(format!("could not send a request to {host}")),
    }
    .with_source(error)
}
