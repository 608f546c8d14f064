//! Authorization codes: one use each (RFC 6749 §4.1.3, RFC 7636 §4.5).

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::response::Issuance;
use super::{TokenRequest, required};
use crate::server::authorize::{Agreement, CodeRequest};
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::EntraError;
use crate::server::random::secret;
use crate::server::reply::Reply;
use crate::server::state::EmulatorState;

/// The issued codes, also the redeemed ones, so that a second redemption is detected.
#[derive(Default)]
pub(crate) struct Codes(HashMap<String, Code>);

struct Code {
    agreement: Agreement,
    redirect_uri: String,
    challenge: String,
    /// Seconds since 1970.
    expires: i64,
    /// The family of refresh tokens that began with this code.
    redeemed: Option<String>,
}

impl Codes {
    pub(crate) fn issue(
        &mut self,
        request: &CodeRequest,
        agreement: Agreement,
        expires: i64,
    ) -> String {
        let value = secret("1.");
        let code = Code {
            agreement,
            redirect_uri: request.redirect.uri.clone(),
            challenge: request.challenge.clone(),
            expires,
            redeemed: None,
        };
        self.0.insert(value.clone(), code);
        value
    }
}

pub(super) fn redeem(
    state: &EmulatorState,
    received: &EndpointRequest,
    request: &TokenRequest<'_>,
) -> Result<Reply, EntraError> {
    let mut codes = state.codes();
    let code = codes.0.get_mut(required(received, "code")?);
    let code = code.ok_or_else(|| {
        EntraError::invalid_grant(9_002_313, "Invalid request. Request is malformed or invalid.")
    })?;
    if let Some(family) = &code.redeemed {
        state.refresh_tokens().revoke_family(family);
        return Err(EntraError::invalid_grant(
            54_005,
            "OAuth2 Authorization code was already redeemed, please retry with a new valid code \
             or use an existing refresh token.",
        ));
    }
    check(code, received, request)?;
    let agreement = agreed(code, request)?;
    let issuance = Issuance::new(state, received, request, &agreement)?;
    let (family, refresh_token) =
        state.refresh_tokens().begin(&agreement, request.app.family, issuance.refresh_expiry());
    code.redeemed = Some(family);
    Ok(issuance.reply(agreement.scopes.offline_access().then_some(refresh_token)))
}

fn check(
    code: &Code,
    received: &EndpointRequest,
    request: &TokenRequest<'_>,
) -> Result<(), EntraError> {
    if code.agreement.client_id != request.app.client_id {
        return Err(EntraError::invalid_grant(
            70_000,
            "The provided authorization code was issued to a different client.",
        ));
    }
    if code.agreement.host != request.host {
        return Err(EntraError::invalid_grant(
            70_000,
            "The provided authorization code was issued by way of a different broker.",
        ));
    }
    if received.now() >= code.expires {
        return Err(EntraError::invalid_grant(
            70_008,
            "The provided authorization code or refresh token has expired due to inactivity. Send \
             a new interactive authorization request for this user and resource.",
        ));
    }
    let redirect_uri = required(received, "redirect_uri")?;
    if redirect_uri != code.redirect_uri {
        return Err(EntraError::new(
            400,
            "invalid_client",
            500_112,
            format!(
                "The reply address '{redirect_uri}' does not match the reply address '{}' provided \
                 when requesting Authorization code.",
                code.redirect_uri
            ),
        ));
    }
    let verifier = required(received, "code_verifier")?;
    if !verifies(verifier, &code.challenge) {
        return Err(EntraError::invalid_grant(
            501_481,
            "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
        ));
    }
    Ok(())
}

/// The agreement, narrowed to the requested scopes. Another resource needs another code or a refresh
/// token.
fn agreed(code: &Code, request: &TokenRequest<'_>) -> Result<Agreement, EntraError> {
    let mut agreement = code.agreement.clone();
    if let Some(scopes) = &request.scopes {
        if scopes.target.is_some() && scopes.audience() != agreement.scopes.audience() {
            return Err(EntraError::invalid_request(
                28_002,
                format!(
                    "Provided value for the input parameter scope '{}' is not valid when \
                     requesting an access token. Please specify a valid scope.",
                    scopes.audience()
                ),
            ));
        }
        if scopes.target.is_some() || agreement.scopes.target.is_none() {
            agreement.scopes = scopes.clone();
        }
    }
    if request.claims != crate::server::claims::Claims::default() {
        agreement.claims = request.claims.clone();
    }
    let segment = request.authority.segment();
    if segment != agreement.tenant && !["common", "organizations"].contains(&segment) {
        return Err(EntraError::invalid_grant(
            700_005,
            "Provided Authorization Code is intended to use against other tenant, thus rejected.",
        ));
    }
    Ok(agreement)
}

fn verifies(verifier: &str, challenge: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(letter)
        && URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())) == challenge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifier_is_the_one_of_rfc_7636_appendix_b() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(verifies(verifier, challenge));
        assert!(!verifies(challenge, challenge));
        assert!(!verifies("short", challenge));
    }
}
