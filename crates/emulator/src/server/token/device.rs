//! The device flow (RFC 8628): the request for a code, the page on which a person types it, the poll.

use std::collections::HashMap;

use serde_json::json;

use super::response::Issuance;
use super::{TokenRequest, public_client, required};
use crate::server::authorize::{Agreement, RequestedSignIn, Transaction, advance, error_page};
use crate::server::claims::Claims;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::EntraError;
use crate::server::html::{Form, Page, Weight};
use crate::server::random::{secret, user_code};
use crate::server::reply::Reply;
use crate::server::scopes::Scopes;
use crate::server::state::EmulatorState;

/// The waiting devices, by device code.
#[derive(Default)]
pub(crate) struct DeviceCodes(HashMap<String, Device>);

struct Device {
    user_code: String,
    requested: RequestedSignIn,
    state: State,
    /// Seconds since 1970.
    expires: i64,
}

enum State {
    Approved(Box<Agreement>),
    Declined,
    Redeemed,
    Waiting,
}

impl DeviceCodes {
    pub(crate) fn approve(&mut self, device_code: &str, agreement: Agreement) {
        self.settle(device_code, State::Approved(Box::new(agreement)));
    }

    pub(crate) fn decline(&mut self, device_code: &str) {
        self.settle(device_code, State::Declined);
    }

    /// The waiting device with this user code, in any case and with any spaces.
    fn typed(&self, user_code: &str, now: i64) -> Option<(String, RequestedSignIn)> {
        let typed: String = user_code.chars().filter(char::is_ascii_alphanumeric).collect();
        let (device_code, device) = self.0.iter().find(|(_, device)| {
            device.user_code.eq_ignore_ascii_case(&typed) && now < device.expires
        })?;
        matches!(device.state, State::Waiting)
            .then(|| (device_code.clone(), device.requested.clone()))
    }

    fn settle(&mut self, device_code: &str, state: State) {
        if let Some(device) = self.0.get_mut(device_code)
            && matches!(device.state, State::Waiting)
        {
            device.state = state;
        }
    }
}

/// `POST /{tenant}/oauth2/v2.0/devicecode`.
pub(crate) fn authorization(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    match begin(state, received) {
        Ok(reply) => reply,
        Err(error) => Reply::error(&error, &received.trace),
    }
}

fn begin(state: &EmulatorState, received: &EndpointRequest) -> Result<Reply, EntraError> {
    let authority = state.directory.authority(received.tenant())?;
    let client_id = public_client(state, received, &authority)?.client_id.clone();
    let scopes = Scopes::parse(required(received, "scope")?, &state.directory.resources)?;
    let claims = Claims::parse(received.form.first("claims").unwrap_or_default())?;
    let lifetime = state.lifetimes.device_code_seconds;
    let device = Device {
        user_code: user_code(),
        requested: RequestedSignIn { authority, client_id, host: None, scopes, claims },
        state: State::Waiting,
        expires: received.now() + lifetime,
    };
    let device_code = secret("D");
    let uri = format!("{}/devicelogin", state.authority_host);
    let reply = json!({
        "user_code": device.user_code,
        "device_code": device_code,
        "verification_uri": uri,
        "expires_in": lifetime,
        "interval": state.lifetimes.poll_interval_seconds,
        "message": format!(
            "To sign in, use a web browser to open the page {uri} and enter the code {} to \
             authenticate.",
            device.user_code
        ),
    });
    state.device_codes().0.insert(device_code, device);
    Ok(Reply::json(&reply, "device code"))
}

/// `GET` and `POST /devicelogin`. A code in the query counts as typed.
pub(crate) fn page(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    if received.form.first("action") == Some("cancel") {
        return Reply::page(&Page::new("You cancelled the sign-in"), "page");
    }
    let Some(typed) = received.param("user_code").or_else(|| received.param("otc")) else {
        return Reply::page(&code_page(None), "page");
    };
    let found = state.device_codes().typed(typed, received.now());
    let Some((device_code, requested)) = found else {
        let alert = "That code didn't work. Check the code and try again.";
        return Reply::page(&code_page(Some(alert)), "page");
    };
    if requested.scopes.is_empty() {
        return error_page(&EntraError::missing_parameter("scope"), received);
    }
    let id = secret("");
    let transaction = Transaction::of_device(requested, device_code, state.auto_sign_in.clone());
    state.sign_ins().transactions.insert(id.clone(), transaction);
    advance(state, received, &id, None)
}

fn code_page(alert: Option<&str>) -> Page {
    let form = Form::to("/devicelogin")
        .input("Code", "user_code", "text", "")
        .button("next", "Next", Weight::Main)
        .button("cancel", "Cancel", Weight::Other);
    Page::new("Enter code to allow access")
        .alert(alert)
        .text("Enter the code displayed on your app or device.")
        .form(&form)
}

pub(super) fn redeem(
    state: &EmulatorState,
    received: &EndpointRequest,
    request: &TokenRequest<'_>,
) -> Result<Reply, EntraError> {
    let device_code = received.form.first("device_code").or_else(|| received.form.first("code"));
    let device_code = device_code.ok_or_else(|| EntraError::missing_parameter("device_code"))?;
    let mut devices = state.device_codes();
    let device = devices.0.get_mut(device_code);
    let device = device.filter(|device| device.requested.client_id == request.app.client_id);
    let device = device.ok_or_else(|| {
        refused("bad_verification_code", 70_018, "The verification code is invalid.")
    })?;
    if received.now() >= device.expires {
        return Err(refused("expired_token", 70_019, "Verification code expired."));
    }
    match &device.state {
        State::Waiting => {
            let message =
                "OAuth 2.0 device flow error. Authorization is pending. Continue polling.";
            Err(refused("authorization_pending", 70_016, message))
        }
        State::Declined => {
            let message = "OAuth 2.0 device flow error. Authorization is declined.";
            Err(refused("authorization_declined", 70_017, message))
        }
        State::Redeemed => {
            Err(EntraError::invalid_grant(54_005, "OAuth2 device code was already redeemed."))
        }
        State::Approved(agreement) => {
            let agreement = agreement.clone();
            let issuance = Issuance::new(state, received, request, &agreement)?;
            let expires = issuance.refresh_expiry();
            device.state = State::Redeemed;
            let (_, refresh_token) =
                state.refresh_tokens().begin(&agreement, request.app.family, expires);
            Ok(issuance.reply(agreement.scopes.offline_access().then_some(refresh_token)))
        }
    }
}

fn refused(error: &str, code: u32, message: &str) -> EntraError {
    EntraError::new(400, error, code, message)
}
