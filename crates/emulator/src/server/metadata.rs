//! The metadata that clients read first: OpenID configuration, keys, instance discovery.

use serde_json::{Value, json};
use url::Url;

use crate::server::directory::Authority;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::EntraError;
use crate::server::reply::Reply;
use crate::server::state::EmulatorState;

/// `GET /{tenant}/v2.0/.well-known/openid-configuration` (OpenID Connect Discovery §4).
///
/// For a domain, the endpoints contain the tenant's GUID. For `common` and `organizations` they contain
/// that word, and the issuer contains `{tenantid}`, as Entra's do.
pub(crate) fn configuration(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    match state.directory.authority(received.tenant()) {
        Ok(authority) => Reply::json(&document(&state.authority_host, &authority), "metadata"),
        Err(error) => Reply::error(&error, &received.trace),
    }
}

/// `GET /{tenant}/discovery/v2.0/keys`.
pub(crate) fn keys(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    match state.directory.authority(received.tenant()) {
        Ok(_) => {
            let issuer = format!("{}/{{tenantid}}/v2.0", state.authority_host);
            Reply::json(&state.keys.key_set(&issuer), "keys")
        }
        Err(error) => Reply::error(&error, &received.trace),
    }
}

/// `GET /common/discovery/instance`: whether an authority host is known.
pub(crate) fn instance(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    match discovered(state, received) {
        Ok(document) => Reply::json(&document, "discovery"),
        Err(error) => Reply::error(&error, &received.trace),
    }
}

fn discovered(state: &EmulatorState, received: &EndpointRequest) -> Result<Value, EntraError> {
    if received.query.first("api-version").is_none() {
        return Err(EntraError::missing_parameter("api-version"));
    }
    let endpoint = received.query.first("authorization_endpoint");
    let endpoint =
        endpoint.ok_or_else(|| EntraError::missing_parameter("authorization_endpoint"))?;
    let unknown = || EntraError {
        error: "invalid_instance".into(),
        ..EntraError::invalid_request(
            50_049,
            format!("Unknown or invalid instance. Authorization endpoint: {endpoint}"),
        )
    };
    let url = Url::parse(endpoint).map_err(|_| unknown())?;
    let ours = Url::parse(&state.authority_host).map_err(|_| unknown())?;
    let tenant = url.path_segments().and_then(|mut path| path.next()).unwrap_or_default();
    let authority = state.directory.authority(tenant)?;
    if url.scheme() != "https" || url.host() != ours.host() || url.port() != ours.port() {
        return Err(unknown());
    }
    let host = state.authority_host.trim_start_matches("https://");
    Ok(json!({
        "tenant_discovery_endpoint":
            format!("{}/{}/v2.0/.well-known/openid-configuration", state.authority_host, authority.segment()),
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }))
}

fn document(host: &str, authority: &Authority) -> Value {
    let segment = authority.segment();
    let issuing_tenant = match authority {
        Authority::Common | Authority::Organizations => "{tenantid}",
        Authority::Consumers | Authority::Tenant(_) => segment,
    };
    json!({
        "issuer": format!("{host}/{issuing_tenant}/v2.0"),
        "authorization_endpoint": format!("{host}/{segment}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{host}/{segment}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{host}/{segment}/oauth2/v2.0/devicecode"),
        "end_session_endpoint": format!("{host}/{segment}/oauth2/v2.0/logout"),
        "jwks_uri": format!("{host}/{segment}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver",
        ],
        "request_uri_parameter_supported": false,
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "tenant_region_scope": null,
        "cloud_instance_name": "emulator",
    })
}
