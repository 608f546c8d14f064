use std::path::Path;

use async_trait::async_trait;
use keybearer_core::{Error, Result};
use keybearer_engine::Http;
use keybearer_protocol::Body;

/// HTTP that trusts the authority of an emulator only. The variable that says so to the real client
/// belongs to the whole process.
#[derive(Debug)]
pub(crate) struct Trusting(reqwest::Client);

impl Trusting {
    /// Trusts the certificate in this file.
    pub(crate) fn new(ca: &Path) -> Self {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
        Self(reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap())
    }
}

#[async_trait]
impl Http for Trusting {
    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>> {
        let failed = |error| Error::internal("exchange a request").with_source(error);
        let (parts, body) = request.into_parts();
        let request = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        let response = request.body(body.expose().to_vec()).send().await.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(failed)?;
        let mut answer = http::Response::new(Body::new(body.to_vec()));
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        Ok(answer)
    }
}
