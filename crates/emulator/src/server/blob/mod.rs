//! One storage account that checks access tokens more strictly than Azurite does: signature,
//! audience, issuer, tenant, times, role, and claims challenges.

mod containers;
mod xml;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::server::bearer::{Bearer, Unacceptable};
use crate::server::claims::Claims;
use crate::server::clock::entra_date;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::Trace;
use crate::server::fixture::BlobRole;
use crate::server::policies::{Access, Evidence};
use crate::server::reply::Reply;
use crate::server::state::EmulatorState;

const RESOURCE: &str = "https://storage.azure.com";

/// Anything under `/devstoreaccount1`, or in the host of that name.
pub(crate) fn account(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    if received.header("x-ms-version").is_none_or(|version| version < "2017-11-09") {
        return error(
            400,
            "MissingRequiredHeader",
            "x-ms-version of 2017-11-09 or later is required with a bearer token.",
            &received.trace,
        );
    }
    match admit(state, received) {
        Ok(role) => containers::serve(state, received, role),
        Err(refusal) => *refusal,
    }
}

/// An error as the storage service writes it.
pub(crate) fn error(status: u16, code: &str, message: &str, trace: &Trace) -> Reply {
    let message =
        format!("{message}\nRequestId:{}\nTime:{}", trace.trace_id, entra_date(trace.now));
    let body = xml::document("Error", &[("Code", code), ("Message", &message)]);
    Reply::new(status, "application/xml", body, code).with("x-ms-error-code", code)
}

/// The role of the caller, or the reply that refuses the request.
fn admit(
    state: &EmulatorState,
    received: &EndpointRequest,
) -> Result<Option<BlobRole>, Box<Reply>> {
    let bearer = Bearer::of(state, received, RESOURCE)
        .and_then(|bearer| {
            let is_own_tenant = state.blob_tenant.as_ref() == Some(&bearer.tenant);
            if is_own_tenant { Ok(bearer) } else { Err(Unacceptable::Issuer) }
        })
        .map_err(|why| Box::new(unauthenticated(state, received, why)))?;
    let access =
        Access { resource: bearer.resource, client_id: &bearer.client_id, upn: &bearer.user.upn };
    let evidence = Evidence { contexts: &bearer.contexts, not_before: bearer.not_before };
    match state.policies().challenge(&access, &evidence) {
        Some(claims) => Err(Box::new(challenge(state, received, &bearer, &claims))),
        None => Ok(bearer.user.blob_role),
    }
}

fn unauthenticated(state: &EmulatorState, received: &EndpointRequest, why: Unacceptable) -> Reply {
    let (code, message) = match why {
        Unacceptable::Missing => (
            "NoAuthenticationInformation",
            "Server failed to authenticate the request. Please refer to the information in the \
             www-authenticate header."
                .to_owned(),
        ),
        why => (
            "InvalidAuthenticationInfo",
            format!("Server failed to authenticate the request: {why:?} is not acceptable."),
        ),
    };
    let tenant = state.blob_tenant.as_deref().unwrap_or("common");
    let challenge = format!(
        "Bearer authorization_uri={}/{tenant}/oauth2/authorize resource_id={RESOURCE}",
        state.authority_host
    );
    error(401, code, &message, &received.trace).with("www-authenticate", &challenge)
}

/// The claims challenge of continuous access evaluation, as documented with the tenant `common`
/// (<https://learn.microsoft.com/entra/identity-platform/claims-challenge>). Only clients that declared
/// `cp1` get it, because the others cannot answer it.
fn challenge(
    state: &EmulatorState,
    received: &EndpointRequest,
    bearer: &Bearer<'_>,
    claims: &Claims,
) -> Reply {
    if !bearer.takes_challenges {
        let message = "This request is not authorized to perform this operation.";
        return error(403, "AuthorizationFailure", message, &received.trace);
    }
    let header = format!(
        "Bearer realm=\"\", authorization_uri=\"{}/common/oauth2/authorize\", \
         error=\"insufficient_claims\", claims=\"{}\"",
        state.authority_host,
        STANDARD.encode(claims.to_json())
    );
    let message = "The token does not have the claims that this resource requires.";
    let mut reply = error(401, "InvalidAuthenticationInfo", message, &received.trace)
        .with("www-authenticate", &header);
    reply.outcome = "insufficient_claims".to_owned();
    reply
}
