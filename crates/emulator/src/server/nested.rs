//! Nested apps: an app inside another that signs in by way of its host, as MSAL.js says it
//! (`brk_client_id`, `brk_redirect_uri`).
//!
//! Entra's own rules are not public. Here the host has to be an app of the directory, its redirect
//! URI, where there is one, has to be registered, and a code is redeemed by way of the host that it
//! was asked for by.

use crate::server::directory::Directory;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::EntraError;

/// The client id of the app that hosts the one that asks, if one does.
pub(crate) fn host(
    directory: &Directory,
    call: &EndpointRequest,
) -> Result<Option<String>, EntraError> {
    let redirect_uri = call.param("brk_redirect_uri");
    let Some(id) = call.param("brk_client_id") else {
        return match redirect_uri {
            Some(_) => Err(EntraError::missing_parameter("brk_client_id")),
            None => Ok(None),
        };
    };
    let app = directory.app(id).ok_or_else(|| EntraError::bad_parameter("brk_client_id"))?;
    if call.param("client_id") == Some(id) {
        return Err(EntraError::bad_parameter("brk_client_id"));
    }
    let registered =
        |uri: &str| app.redirect_uris.iter().any(|known| known == uri.trim_end_matches('/'));
    if redirect_uri.is_some_and(|uri| !registered(uri)) {
        return Err(EntraError::bad_parameter("brk_redirect_uri"));
    }
    Ok(Some(id.to_owned()))
}
