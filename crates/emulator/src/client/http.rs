//! HTTP that trusts an emulator and nothing else.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Certificate, RequestBuilder};
use serde_json::Value;
use url::Url;

use super::error::LaboratoryError;
use crate::ready::Ready;

const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// An HTTP client that trusts one emulator's certificate authority only, and can ask the emulator
/// what it saw. It follows no redirects and uses no proxy.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    authority_host: String,
}

impl Client {
    /// A client of this emulator.
    ///
    /// # Errors
    /// If the emulator's certificate cannot be read.
    pub fn new(ready: &Ready) -> Result<Self, LaboratoryError> {
        let builder = trusting(ready)?.redirect(Policy::none()).timeout(REQUEST_LIMIT);
        let http = builder.build().map_err(LaboratoryError::client)?;
        Ok(Self { http, authority_host: ready.authority_host.clone() })
    }

    /// For requests of any kind.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Posts to a control endpoint: `faults`, `policies`, `revoke` or `clock`.
    ///
    /// # Errors
    /// If the emulator refuses the body.
    pub async fn control(&self, what: &str, body: &Value) -> Result<(), LaboratoryError> {
        let request = self.http.post(self.control_url(what));
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        control(what, request).await.map(drop)
    }

    /// The requests that the emulator has seen, oldest first, as its README describes them.
    ///
    /// # Errors
    /// If the emulator does not answer.
    pub async fn requests(&self) -> Result<Vec<Value>, LaboratoryError> {
        let text = control("requests", self.http.get(self.control_url("requests"))).await?;
        serde_json::from_str(&text).map_err(|error| failed("requests", error))
    }

    /// How the requests ended whose path begins like this.
    ///
    /// # Errors
    /// If the emulator does not answer.
    pub async fn outcomes_below(&self, path: &str) -> Result<Vec<String>, LaboratoryError> {
        let mut requests = self.requests().await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        requests.retain(|request| text(&request["path"]).starts_with(path));
        Ok(requests.iter().map(|request| text(&request["outcome"])).collect())
    }

    fn control_url(&self, what: &str) -> String {
        format!("{}/emulator/{what}", self.authority_host)
    }
}

async fn control(what: &str, request: RequestBuilder) -> Result<String, LaboratoryError> {
    let reply = request.send().await.map_err(|error| failed(what, error))?;
    let status = reply.status();
    let text = reply.text().await.map_err(|error| failed(what, error))?;
    if status.is_success() { Ok(text) } else { Err(failed(what, format!("{status} {text}"))) }
}

fn failed(what: &str, reason: impl ToString) -> LaboratoryError {
    LaboratoryError::Control { path: format!("/emulator/{what}"), reason: reason.to_string() }
}

/// Trusts this emulator only, and finds it also under the names of Azure.
pub(crate) fn trusting(ready: &Ready) -> Result<reqwest::ClientBuilder, LaboratoryError> {
    let pem = std::fs::read(&ready.ca).map_err(LaboratoryError::file(&ready.ca))?;
    let ca = Certificate::from_pem(&pem).map_err(LaboratoryError::client)?;
    let builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy();
    let (authority, blob) = (&ready.authority_host, &ready.blob_endpoint);
    let endpoints = [(authority, ready.ports.authority), (blob, ready.ports.blob)];
    Ok(endpoints.into_iter().fold(builder, |builder, (url, port)| {
        match Url::parse(url).ok().as_ref().and_then(Url::host_str) {
            Some("localhost") | None => builder,
            Some(host) => builder.resolve(host, SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        }
    }))
}
