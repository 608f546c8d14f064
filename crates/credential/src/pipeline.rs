//! What all policies of this crate have in common.

use std::sync::Arc;

use azure_core::error::{Error, ErrorKind};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};

/// Passes the request to the next policy.
pub(crate) async fn forward(
    context: &Context<'_>,
    request: &mut Request,
    next: &[Arc<dyn Policy>],
) -> PolicyResult {
    match next.split_first() {
        Some((first, others)) => first.send(context, request, others).await,
        None => {
            let message = "could not forward the request: the policy is the last in its pipeline";
            Err(Error::with_message(ErrorKind::Other, message))
        }
    }
}

/// Refuses a request that would send a token without encryption.
pub(crate) fn require_tls(request: &Request) -> azure_core::Result<()> {
    if request.url().scheme() == "https" {
        return Ok(());
    }
    Err(Error::with_message(
        ErrorKind::Other,
        "could not send the token: the request does not use TLS",
    ))
}
