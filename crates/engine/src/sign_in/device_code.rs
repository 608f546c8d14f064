//! A sign-in on another device: [RFC 8628](https://www.rfc-editor.org/rfc/rfc8628). The caller's
//! terminal shows the code; the broker asks the provider until somebody has typed it in.

use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{
    CallerUi, Error, ErrorKind, InteractiveRequest, Missing, Result, Token, UserCode, no_terminal,
};
use keybearer_protocol::device_code::{
    self, DeviceAuthorization, DeviceAuthorizationRequest, Poll,
};
use keybearer_protocol::metadata::ProviderMetadata;
use keybearer_protocol::token::{Grant, TokenRequest, TokenResponse};

use crate::deadline::unless_cancelled;
use crate::effects::SignIn;
use crate::engine::EngineState;
use crate::flights::Abandoned;
use crate::provider::providers::exchange;
use crate::refresh::silent::nested;
use crate::sign_in::interactive::{AccountSelection, merged_claims};

/// What is added to the interval each time the provider asks to slow down, RFC 8628 §3.5.
const SLOWER: Duration = Duration::from_secs(5);

impl EngineState {
    pub(crate) async fn sign_in_elsewhere(
        self: &Arc<Self>,
        request: &InteractiveRequest,
        metadata: &ProviderMetadata,
        sign_in: &mut dyn SignIn,
        abandoned: &mut Abandoned,
    ) -> Result<Token> {
        let parameters = &request.parameters;
        let asking = async {
            if let AccountSelection::Token(token) = self.choose(request, sign_in).await? {
                return Ok(Begun::Token(token));
            }
            let caller_ui = request.sign_in_options.caller_ui.as_deref().ok_or_else(no_terminal)?;
            self.show_code(request, metadata, caller_ui).await.map(Begun::Shown)
        };
        let shown = match unless_cancelled(abandoned.wait(), asking).await? {
            Begun::Token(token) => return Ok(*token),
            Begun::Shown(shown) => shown,
        };
        let response = self.poll(request, metadata, &shown, abandoned).await?;
        self.complete(parameters, metadata, &response, None).await
    }

    async fn show_code(
        &self,
        request: &InteractiveRequest,
        metadata: &ProviderMetadata,
        caller_ui: &dyn CallerUi,
    ) -> Result<DeviceAuthorization> {
        let parameters = &request.parameters;
        let http = DeviceAuthorizationRequest {
            metadata,
            client_id: &parameters.client_id,
            scopes: &parameters.scopes,
            claims: merged_claims(parameters).as_ref(),
            correlation_id: &parameters.correlation_id,
        }
        .http()?;
        let authorization = device_code::parse(&exchange(&self.effects, http).await?);
        let authorization = authorization.map_err(with_other_ways)?;
        let code = UserCode {
            user_code: authorization.user_code.clone(),
            verification_uri: authorization.verification_uri.clone(),
            expires_in: authorization.expires_in,
        };
        caller_ui.show_user_code(&code).await?;
        Ok(authorization)
    }

    /// Asks until the person is done. Callers can leave between two questions, not in the middle of
    /// one: its answer may be the tokens.
    async fn poll(
        &self,
        request: &InteractiveRequest,
        metadata: &ProviderMetadata,
        shown: &DeviceAuthorization,
        abandoned: &mut Abandoned,
    ) -> Result<TokenResponse> {
        let clock = &self.effects.clock;
        let parameters = &request.parameters;
        let expires = clock.uptime() + shown.expires_in;
        let mut interval = shown.interval;
        let mut pause = interval;
        loop {
            let waiting = async {
                clock.sleep(pause).await;
                Ok(())
            };
            unless_cancelled(abandoned.wait(), waiting).await?;
            if clock.uptime() >= expires {
                return Err(expired());
            }
            let asked = TokenRequest {
                metadata,
                client_id: &parameters.client_id,
                grant: Grant::DeviceCode(&shown.device_code),
                scopes: &parameters.scopes,
                claims: merged_claims(parameters).as_ref(),
                account: None,
                extra: &nested(parameters),
                correlation_id: &parameters.correlation_id,
            }
            .http()?;
            let answer = exchange(&self.effects, asked).await;
            pause = match answer.and_then(|response| device_code::poll(&response)) {
                Ok(Poll::Done(response)) => return Ok(*response),
                Ok(Poll::Pending) => interval,
                Ok(Poll::SlowDown) => {
                    interval += SLOWER;
                    interval
                }
                Err(error) => match error.kind() {
                    // RFC 8628 §3.5: what may pass is asked again, ever more slowly.
                    ErrorKind::Transient { retry_after } => {
                        interval = interval.saturating_mul(2);
                        retry_after.unwrap_or_default().max(interval)
                    }
                    ErrorKind::Unavailable(Missing::Network) => {
                        interval = interval.saturating_mul(2);
                        interval
                    }
                    ErrorKind::TimedOut => return Err(expired()),
                    _ => return Err(with_other_ways(error)),
                },
            };
        }
    }
}

enum Begun {
    Token(Box<Token>),
    Shown(DeviceAuthorization),
}

/// A policy that blocks device codes often says so on the page only, and the code just expires.
fn expired() -> Error {
    Error::timed_out("nobody signed in with the device code before it expired").with_hint(format!(
        "run the command again; if the page said that the sign-in is blocked, {OTHER_WAYS}"
    ))
}

fn with_other_ways(error: Error) -> Error {
    match (error.kind(), error.hint().map(str::to_owned)) {
        (ErrorKind::Denied(keybearer_core::Denial::Person), _) => error,
        (ErrorKind::Denied(_) | ErrorKind::InteractionRequired { .. }, hint) => {
            let before = hint.map_or_else(String::new, |hint| format!("{hint}; "));
            error.with_hint(format!("{before}policies often block device codes: {OTHER_WAYS}"))
        }
        _ => error,
    }
}

const OTHER_WAYS: &str = "run `keybearer login --paste`, or `keybearer login` in an SSH session, \
                          which shows the ssh -L command to use";
