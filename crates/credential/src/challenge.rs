use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use azure_core::http::headers::{AUTHORIZATION, WWW_AUTHENTICATE};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request, StatusCode};
use keybearer_core::{Claims, TenantId, Token};
use keybearer_protocol::challenge;

use crate::credential::{AcquireOptions, InteractiveBrowserBrokerCredential};
use crate::error::to_azure;
use crate::pipeline::{forward, require_tls};

/// A policy that authorizes an Azure client's requests and answers the challenges of the service.
///
/// The Rust SDK's policy does not handle challenges. Use this one instead: pass it to the client as a
/// per-try policy, and pass no credential.
///
/// * Continuous access evaluation: a service that no longer accepts a token, because the account was
///   disabled, its password changed or a policy requires more, answers 401 with the claims it
///   requires (`error="insufficient_claims"`). The policy gets a token with these claims, with a
///   sign-in if need be, and sends the request again. It requests tokens with the capability `cp1`,
///   so they may be valid for a day instead of an hour.
/// * Another directory: a service that trusts another directory than the credential's answers 401
///   and names it (`authorization_uri`). If the credential's options allow that directory, the policy
///   gets the tokens for that host from it from then on.
///
/// Only requests over TLS are sent.
///
/// ```no_run
/// use std::sync::Arc;
/// use azure_core::http::ClientOptions;
/// use azure_storage_blob::{BlobServiceClient, BlobServiceClientOptions};
///
/// # fn client(url: azure_core::http::Url) -> azure_core::Result<BlobServiceClient> {
/// let credential = keybearer::InteractiveBrowserBrokerCredential::new(None)?;
/// let scopes = ["https://storage.azure.com/.default"];
/// let options = BlobServiceClientOptions {
///     client_options: ClientOptions {
///         per_try_policies: vec![keybearer::claims_challenge_policy(credential, scopes)],
///         ..Default::default()
///     },
///     ..Default::default()
/// };
/// BlobServiceClient::new(url, None, Some(options))
/// # }
/// ```
#[must_use]
pub fn claims_challenge_policy<S: Into<String>>(
    credential: Arc<InteractiveBrowserBrokerCredential>,
    scopes: impl IntoIterator<Item = S>,
) -> Arc<dyn Policy> {
    let scopes = scopes.into_iter().map(Into::into).collect();
    Arc::new(ClaimsChallengePolicy { credential, scopes, directories: Mutex::default() })
}

#[derive(Debug)]
struct ClaimsChallengePolicy {
    credential: Arc<InteractiveBrowserBrokerCredential>,
    scopes: Vec<String>,
    /// The directory that a host named, if it is not the credential's.
    directories: Mutex<HashMap<String, TenantId>>,
}

#[allow(
    elided_lifetimes_in_paths,
    reason = "the trait's own signature, which async_trait compares"
)]
#[async_trait]
impl Policy for ClaimsChallengePolicy {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        require_tls(request)?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let known = self.directories().get(&host).cloned();
        let token = self.authorize(request, known.as_ref(), None).await?;
        let response = forward(context, request, next).await?;
        let asked = match response.status() {
            StatusCode::Unauthorized => response.headers().get_str(&WWW_AUTHENTICATE).ok(),
            _ => None,
        };
        let claims = asked.and_then(challenge::claims);
        let elsewhere = asked
            .and_then(challenge::directory)
            .filter(|directory| *directory != token.account.realm);
        if claims.is_none() && elsewhere.is_none() {
            return Ok(response);
        }
        request.body_mut().reset().await?;
        let directory = elsewhere.as_ref().or(known.as_ref());
        self.authorize(request, directory, claims).await?;
        if let Some(directory) = elsewhere {
            self.directories().insert(host, directory);
        }
        forward(context, request, next).await
    }
}

impl ClaimsChallengePolicy {
    async fn authorize(
        &self,
        request: &mut Request,
        directory: Option<&TenantId>,
        claims: Option<Claims>,
    ) -> azure_core::Result<Arc<Token>> {
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let options = AcquireOptions {
            tenant_id: directory.map(|directory| directory.as_str().to_owned()),
            claims: claims.map(|claims| claims.as_str().to_owned()),
            enable_cae: true,
            proof_of_possession: None,
        };
        let token = self.credential.token(&scopes, &options).await.map_err(to_azure)?;
        request.insert_header(AUTHORIZATION, format!("Bearer {}", token.access_token.expose()));
        Ok(token)
    }

    fn directories(&self) -> MutexGuard<'_, HashMap<String, TenantId>> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
