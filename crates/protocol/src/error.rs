//! The provider's errors: RFC 6749 §4.1.2.1 and §5.2, with Entra's `AADSTS` codes.

use keybearer_core::{ClientId, Error};
use url::Url;

use crate::{Body, RedirectParameters};

/// What a refusal means; `what` says what was asked, such as `token request`.
///
/// The error never holds the body: only the code, ids and the first line of the description.
#[must_use]
pub fn from_response(response: &http::Response<Body>, what: &str) -> Error {
    let _ = (response, what);
    todo!()
}

/// What an authorization answer with `error` means, RFC 6749 §4.1.2.1.
#[must_use]
pub fn from_redirect(parameters: &RedirectParameters) -> Error {
    let _ = parameters;
    todo!()
}

/// If the error is about the redirect URI (`AADSTS50011`), its hint is made to name the one URI
/// to register; any other error stays as it is.
#[must_use]
pub fn with_redirect_hint(error: Error, redirect_uri: &Url, client_id: &ClientId) -> Error {
    let _ = (redirect_uri, client_id);
    error
}
