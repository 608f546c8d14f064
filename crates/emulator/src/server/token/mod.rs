//! The token endpoint with its three grants.

mod code;
mod device;
mod refresh;
mod response;

pub(crate) use self::code::Codes;
pub(crate) use self::device::{DeviceCodes, authorization, page};
pub(crate) use self::refresh::RefreshTokens;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::server::claims::Claims;
use crate::server::directory::Authority;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::EntraError;
use crate::server::fixture::App;
use crate::server::nested;
use crate::server::reply::Reply;
use crate::server::scopes::Scopes;
use crate::server::state::EmulatorState;

/// `POST /{tenant}/oauth2/v2.0/token`.
pub(crate) fn token(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    match grant(state, received) {
        Ok(reply) => reply,
        Err(error) => Reply::error(&error, &received.trace),
    }
}

fn grant(state: &EmulatorState, received: &EndpointRequest) -> Result<Reply, EntraError> {
    let authority = state.directory.authority(received.tenant())?;
    let grant_type = required(received, "grant_type")?;
    let request = TokenRequest::parse(state, received, &authority)?;
    match grant_type {
        "authorization_code" => code::redeem(state, received, &request),
        "refresh_token" => refresh::redeem(state, received, &request),
        // MSAL for JavaScript uses the short name, other libraries the name of RFC 8628 §3.4.
        "device_code" | "urn:ietf:params:oauth:grant-type:device_code" => {
            device::redeem(state, received, &request)
        }
        other => Err(EntraError::new(
            400,
            "unsupported_grant_type",
            70_003,
            format!("The app requested an unsupported grant type '{other}'."),
        )),
    }
}

/// The parameters that all grants share.
pub(crate) struct TokenRequest<'a> {
    authority: &'a Authority,
    app: &'a App,
    /// Absent: the scopes of the agreement.
    scopes: Option<Scopes>,
    claims: Claims,
    /// The thumbprint of the key to bind the access token to.
    key_id: Option<String>,
    /// The app that hosts the client.
    host: Option<String>,
}

impl<'a> TokenRequest<'a> {
    fn parse(
        state: &'a EmulatorState,
        received: &EndpointRequest,
        authority: &'a Authority,
    ) -> Result<Self, EntraError> {
        let scope = received.form.first("scope");
        let scopes = scope.map(|scope| Scopes::parse(scope, &state.directory.resources));
        Ok(Self {
            authority,
            app: public_client(state, received, authority)?,
            scopes: scopes.transpose()?,
            claims: Claims::parse(received.form.first("claims").unwrap_or_default())?,
            key_id: key_id(received)?,
            host: nested::host(&state.directory, received)?,
        })
    }
}

/// Reads `token_type=pop` and `req_cnf`, base64url JSON with the thumbprint of the key.
fn key_id(received: &EndpointRequest) -> Result<Option<String>, EntraError> {
    match received.form.first("token_type") {
        None => return Ok(None),
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => return Ok(None),
        Some("pop") => {}
        Some(_) => return Err(EntraError::bad_parameter("token_type")),
    }
    let confirmation = URL_SAFE_NO_PAD.decode(required(received, "req_cnf")?).ok();
    let confirmation = confirmation.and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    let key_id = confirmation.as_ref().and_then(|confirmation| confirmation["kid"].as_str());
    let key_id = key_id.filter(|id| URL_SAFE_NO_PAD.decode(id).is_ok_and(|hash| hash.len() == 32));
    key_id.map(|id| Some(id.to_owned())).ok_or_else(|| EntraError::bad_parameter("req_cnf"))
}

/// The client. All apps of the emulator are public clients, which must not send a secret.
pub(crate) fn public_client<'a>(
    state: &'a EmulatorState,
    received: &EndpointRequest,
    authority: &Authority,
) -> Result<&'a App, EntraError> {
    let id = required(received, "client_id")?;
    let tenant = state.directory.tenant_name(authority.segment());
    let app = state.directory.app(id).ok_or_else(|| EntraError::unknown_client(id, tenant))?;
    if received
        .form
        .first("client_secret")
        .or_else(|| received.form.first("client_assertion"))
        .is_some()
    {
        return Err(EntraError::new(
            401,
            "invalid_client",
            700_025,
            "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
        ));
    }
    Ok(app)
}

fn required<'a>(received: &'a EndpointRequest, name: &str) -> Result<&'a str, EntraError> {
    received.form.first(name).ok_or_else(|| EntraError::missing_parameter(name))
}
