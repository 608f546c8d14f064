use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use azure_core::http::headers::{AUTHORIZATION, Headers, WWW_AUTHENTICATE};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request, StatusCode};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use keybearer_core::Token;

use crate::credential::{AcquireOptions, InteractiveBrowserBrokerCredential};
use crate::error::to_azure;
use crate::pipeline::{forward, require_tls};
use crate::www_authenticate::parameters;

/// A policy that authorizes an Azure client's requests and answers the challenges of the service.
///
/// The Rust SDK's own policy leaves challenges to the program. This one stands in its place: give
/// it to the client as a per-try policy, and no credential beside it.
///
/// * Continuous access evaluation: a service that no longer accepts a token, because the account
///   was disabled, its password changed or a policy asks for more, answers 401 with the claims it
///   wants (`error="insufficient_claims"`). A token with these claims is had, from a person if need
///   be, and the request is sent once more. Tokens are asked for with the capability `cp1`, so they
///   may live for a day instead of an hour.
/// * Another directory: a service that trusts another directory than the credential's answers 401
///   and names it (`authorization_uri`). If the credential's options allow that directory, it is
///   asked from then on.
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
    Arc::new(ClaimsChallengePolicy { credential, scopes, tenant_id: OnceLock::new() })
}

#[derive(Debug)]
struct ClaimsChallengePolicy {
    credential: Arc<InteractiveBrowserBrokerCredential>,
    scopes: Vec<String>,
    /// The directory the service asked for.
    tenant_id: OnceLock<String>,
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
        let token = self.authorize(request, None).await?;
        let response = forward(context, request, next).await?;
        let challenge = match response.status() {
            StatusCode::Unauthorized => Challenge::of(response.headers()),
            _ => Challenge::default(),
        };
        let elsewhere =
            challenge.tenant_id.filter(|tenant| *tenant != token.account.realm.as_str());
        if challenge.claims.is_none() && elsewhere.is_none() {
            return Ok(response);
        }
        if let Some(tenant_id) = elsewhere {
            // If several answers name one at the same time, one of them is as good as another.
            let _ = self.tenant_id.set(tenant_id);
        }
        request.body_mut().reset().await?;
        self.authorize(request, challenge.claims).await?;
        forward(context, request, next).await
    }
}

impl ClaimsChallengePolicy {
    async fn authorize(
        &self,
        request: &mut Request,
        claims: Option<String>,
    ) -> azure_core::Result<Arc<Token>> {
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let tenant_id = self.tenant_id.get().cloned();
        let options =
            AcquireOptions { tenant_id, claims, enable_cae: true, proof_of_possession: None };
        let token = self.credential.token(&scopes, &options).await.map_err(to_azure)?;
        request.insert_header(AUTHORIZATION, format!("Bearer {}", token.access_token.expose()));
        Ok(token)
    }
}

/// What a 401 answer asks for.
#[derive(Default, PartialEq, Eq, Debug)]
struct Challenge {
    claims: Option<String>,
    tenant_id: Option<String>,
}

impl Challenge {
    /// Reads `WWW-Authenticate` (RFC 9110 §11.6.1), as services of Azure write it: with commas or
    /// spaces, with or without quotes.
    fn of(headers: &Headers) -> Self {
        let Ok(header) = headers.get_str(&WWW_AUTHENTICATE) else { return Self::default() };
        let mut challenge = Self::default();
        let mut insufficient = false;
        for (name, value) in parameters(header) {
            match name.to_ascii_lowercase().as_str() {
                "error" => insufficient |= value == "insufficient_claims",
                "claims" => challenge.claims = challenge.claims.or_else(|| decoded(&value)),
                "authorization_uri" => {
                    challenge.tenant_id = challenge.tenant_id.or_else(|| tenant_of(&value));
                }
                _ => {}
            }
        }
        challenge.claims = challenge.claims.filter(|_| insufficient);
        challenge
    }
}

/// Claims come in either alphabet of base64, padded or not.
fn decoded(claims: &str) -> Option<String> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    let standard = claims.replace('-', "+").replace('_', "/");
    String::from_utf8(STANDARD.decode(standard).ok()?).ok()
}

/// The first segment of the authorization URI's path.
fn tenant_of(authorization_uri: &str) -> Option<String> {
    let url = azure_core::http::Url::parse(authorization_uri).ok()?;
    let tenant = url.path_segments()?.next()?;
    Some(tenant.to_ascii_lowercase()).filter(|tenant| !tenant.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_services_write_them() {
        // {"a":"ÿ~?"} has both of the letters in which the alphabets of base64 differ.
        const CLAIMS: &str = r#"{"a":"ÿ~?"}"#;
        let tenant = Some("7c1a5b0e-2222".to_owned());
        let claims = Some(CLAIMS.to_owned());
        let none = Challenge::default;
        let cases = [
            ("", none()),
            ("Bearer", none()),
            ("Bearer realm=\"\"", none()),
            (
                "Bearer authorization_uri=https://login.example/7C1A5B0E-2222/oauth2/authorize \
                 resource_id=https://storage.azure.com",
                Challenge { tenant_id: tenant.clone(), ..none() },
            ),
            (
                "Bearer realm=\"\", authorization_uri=\"https://login.example/7c1a5b0e-2222/oauth2\
                 /authorize\", error=\"insufficient_claims\", claims=\"eyJhIjoiw79+PyJ9\"",
                Challenge { claims: claims.clone(), tenant_id: tenant },
            ),
            (
                "Bearer error=\"insufficient_claims\", claims=\"eyJhIjoiw79-PyJ9\"",
                Challenge { claims: claims.clone(), ..none() },
            ),
            (
                "PoP nonce=\"n\", Bearer CLAIMS=eyJhIjoiw79+PyJ9 , error=insufficient_claims",
                Challenge { claims, ..none() },
            ),
            ("Bearer error=\"invalid_token\", claims=\"eyJhIjoiw79+PyJ9\"", none()),
            ("Bearer error=\"insufficient_claims\", claims=\"***\"", none()),
            ("Bearer error=\"insufficient_claims", none()),
            ("Bearer authorization_uri=\"nowhere\"", none()),
            (
                r#"Bearer error_description="a \"b\", error=\"x", error="insufficient_claims""#,
                none(),
            ),
        ];
        for (header, expected) in cases {
            let mut headers = Headers::new();
            headers.insert(WWW_AUTHENTICATE, header.to_owned());
            assert_eq!(Challenge::of(&headers), expected, "{header}");
        }
        assert_eq!(Challenge::of(&Headers::new()), none());
    }
}
