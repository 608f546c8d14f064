//! The token endpoint: three grants, one reply.

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
pub(crate) fn token(state: &EmulatorState, call: &EndpointRequest) -> Reply {
    match grant(state, call) {
        Ok(reply) => reply,
        Err(error) => Reply::error(&error, &call.trace),
    }
}

fn grant(state: &EmulatorState, call: &EndpointRequest) -> Result<Reply, EntraError> {
    let authority = state.directory.authority(call.tenant())?;
    let grant_type = required(call, "grant_type")?;
    let request = TokenRequest::parse(state, call, &authority)?;
    match grant_type {
        "authorization_code" => code::redeem(state, call, &request),
        "refresh_token" => refresh::redeem(state, call, &request),
        // MSAL for JavaScript uses the short name, the others that of RFC 8628 §3.4.
        "device_code" | "urn:ietf:params:oauth:grant-type:device_code" => {
            device::redeem(state, call, &request)
        }
        other => Err(EntraError::new(
            400,
            "unsupported_grant_type",
            70_003,
            format!("The app requested an unsupported grant type '{other}'."),
        )),
    }
}

/// What all grants have in common.
pub(crate) struct TokenRequest<'a> {
    authority: &'a Authority,
    app: &'a App,
    /// Absent: as agreed before.
    scopes: Option<Scopes>,
    claims: Claims,
    /// The key the access token is to be bound to, by its thumbprint.
    key_id: Option<String>,
    /// The app that the client is in.
    host: Option<String>,
}

impl<'a> TokenRequest<'a> {
    fn parse(
        state: &'a EmulatorState,
        call: &EndpointRequest,
        authority: &'a Authority,
    ) -> Result<Self, EntraError> {
        let scope = call.form.first("scope");
        let scopes = scope.map(|scope| Scopes::parse(scope, &state.directory.resources));
        Ok(Self {
            authority,
            app: public_client(state, call, authority)?,
            scopes: scopes.transpose()?,
            claims: Claims::parse(call.form.first("claims").unwrap_or_default())?,
            key_id: key_id(call)?,
            host: nested::host(&state.directory, call)?,
        })
    }
}

/// `token_type=pop` and `req_cnf`, the key by its thumbprint in base64url JSON.
fn key_id(call: &EndpointRequest) -> Result<Option<String>, EntraError> {
    match call.form.first("token_type") {
        None => return Ok(None),
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => return Ok(None),
        Some("pop") => {}
        Some(_) => return Err(EntraError::bad_parameter("token_type")),
    }
    let confirmation = URL_SAFE_NO_PAD.decode(required(call, "req_cnf")?).ok();
    let confirmation = confirmation.and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    let key_id = confirmation.as_ref().and_then(|confirmation| confirmation["kid"].as_str());
    let key_id = key_id.filter(|id| URL_SAFE_NO_PAD.decode(id).is_ok_and(|hash| hash.len() == 32));
    key_id.map(|id| Some(id.to_owned())).ok_or_else(|| EntraError::bad_parameter("req_cnf"))
}

/// The app that asks. All of ours are public: one that shows a secret is mistaken.
pub(crate) fn public_client<'a>(
    state: &'a EmulatorState,
    call: &EndpointRequest,
    authority: &Authority,
) -> Result<&'a App, EntraError> {
    let id = required(call, "client_id")?;
    let tenant = state.directory.tenant_name(authority.segment());
    let app = state.directory.app(id).ok_or_else(|| EntraError::unknown_client(id, tenant))?;
    if call.form.first("client_secret").or_else(|| call.form.first("client_assertion")).is_some() {
        return Err(EntraError::new(
            401,
            "invalid_client",
            700_025,
            "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
        ));
    }
    Ok(app)
}

fn required<'a>(call: &'a EndpointRequest, name: &str) -> Result<&'a str, EntraError> {
    call.form.first(name).ok_or_else(|| EntraError::missing_parameter(name))
}
