//! Nested apps: an app inside a host app that signs in through its host, with MSAL.js' parameters
//! `brk_client_id` and `brk_redirect_uri`.
//!
//! Entra's own rules are not public. Here the host must be an app of the directory, its redirect URI, if
//! sent, must be registered, and a code must be redeemed with the host that requested it.

use crate::server::directory::Directory;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::EntraError;

/// The client id of the host app, if the client is a nested app.
pub(crate) fn host(
    directory: &Directory,
    received: &EndpointRequest,
) -> Result<Option<String>, EntraError> {
    let redirect_uri = received.param("brk_redirect_uri");
    let Some(id) = received.param("brk_client_id") else {
        return match redirect_uri {
            Some(_) => Err(EntraError::missing_parameter("brk_client_id")),
            None => Ok(None),
        };
    };
    let app = directory.app(id).ok_or_else(|| EntraError::bad_parameter("brk_client_id"))?;
    if received.param("client_id") == Some(id) {
        return Err(EntraError::bad_parameter("brk_client_id"));
    }
    let registered =
        |uri: &str| app.redirect_uris.iter().any(|known| known == uri.trim_end_matches('/'));
    if redirect_uri.is_some_and(|uri| !registered(uri)) {
        return Err(EntraError::bad_parameter("brk_redirect_uri"));
    }
    Ok(Some(id.to_owned()))
}
