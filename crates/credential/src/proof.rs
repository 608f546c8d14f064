use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::headers::{AUTHORIZATION, WWW_AUTHENTICATE};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request, StatusCode};
use keybearer_client::signed_request;
use keybearer_protocol::challenge;

use crate::credential::{AcquireOptions, InteractiveBrowserBrokerCredential};
use crate::error::to_azure;
use crate::pipeline::{forward, require_tls};

/// A policy that authorizes every request of an Azure client with a signed HTTP request
/// (draft-ietf-oauth-signed-http-request-03), which cannot be used for another request.
///
/// Pass it to the client as a per-try policy, and pass no credential: the policy signs each try with
/// its method, host, path and query. A service that requires its nonce in the signature answers 401
/// with the nonce (`WWW-Authenticate: PoP nonce="..."`); the policy signs the request with it and
/// sends it again.
///
/// Only requests over TLS are sent. The broker must support signing; Microsoft's on Linux does not.
///
/// ```no_run
/// use std::sync::Arc;
/// use azure_core::http::ClientOptions;
///
/// # fn options() -> azure_core::Result<ClientOptions> {
/// let credential = keybearer::InteractiveBrowserBrokerCredential::new(None)?;
/// let scopes = ["https://graph.microsoft.com/User.Read"];
/// let options = ClientOptions {
///     per_try_policies: vec![keybearer::proof_of_possession_policy(credential, scopes)],
///     ..Default::default()
/// };
/// # Ok(options)
/// # }
/// ```
#[must_use]
pub fn proof_of_possession_policy<S: Into<String>>(
    credential: Arc<InteractiveBrowserBrokerCredential>,
    scopes: impl IntoIterator<Item = S>,
) -> Arc<dyn Policy> {
    let scopes = scopes.into_iter().map(Into::into).collect();
    Arc::new(ProofOfPossessionPolicy { credential, scopes })
}

#[derive(Debug)]
struct ProofOfPossessionPolicy {
    credential: Arc<InteractiveBrowserBrokerCredential>,
    scopes: Vec<String>,
}

#[allow(
    elided_lifetimes_in_paths,
    reason = "the trait's own signature, which async_trait compares"
)]
#[async_trait]
impl Policy for ProofOfPossessionPolicy {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        require_tls(request)?;
        self.sign(request, None).await?;
        let response = forward(context, request, next).await?;
        let wanted = match response.status() {
            StatusCode::Unauthorized => response.headers().get_str(&WWW_AUTHENTICATE).ok(),
            _ => None,
        };
        let Some(nonce) = wanted.and_then(challenge::nonce) else { return Ok(response) };
        request.body_mut().reset().await?;
        self.sign(request, Some(&nonce)).await?;
        forward(context, request, next).await
    }
}

impl ProofOfPossessionPolicy {
    async fn sign(&self, request: &mut Request, nonce: Option<&str>) -> azure_core::Result<()> {
        let signed = signed_request(request.method().as_str(), request.url().as_str(), nonce);
        let options = AcquireOptions {
            proof_of_possession: Some(signed.map_err(to_azure)?),
            ..AcquireOptions::default()
        };
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let token = self.credential.token(&scopes, &options).await.map_err(to_azure)?;
        request.insert_header(AUTHORIZATION, format!("PoP {}", token.access_token.expose()));
        Ok(())
    }
}
