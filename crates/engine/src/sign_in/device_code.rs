//! The device code flow, [RFC 8628](https://www.rfc-editor.org/rfc/rfc8628): the caller's terminal
//! shows a code, and the engine polls the provider until a person has entered it on another device.

use std::time::Duration;

use keybearer_core::{CallerUi, Error, ErrorKind, Missing, Result, Token, UserCode, no_terminal};
use keybearer_protocol::device_code::{
    self, DeviceAuthorization, DeviceAuthorizationRequest, Poll,
};
use keybearer_protocol::token::{Grant, TokenResponse};

use crate::deadline::unless_cancelled;
use crate::effects::SignIn;
use crate::flights::Abandoned;
use crate::sign_in::attempt::Attempt;
use crate::sign_in::selection::{AccountSelection, select_account};

/// How much longer the interval becomes each time the provider asks to slow down, RFC 8628 §3.5.
const SLOW_DOWN_STEP: Duration = Duration::from_secs(5);

/// A sign-in with a code that the person enters on another device.
pub(crate) struct DeviceCodeFlow<'a>(pub(crate) &'a Attempt<'a>);

/// The result of the steps before the first poll.
enum BeginResult {
    /// A connected account was chosen, and its refresh token was enough.
    Token(Box<Token>),
    /// The code is shown.
    Shown(DeviceAuthorization),
}

impl DeviceCodeFlow<'_> {
    /// Signs the person in.
    pub(crate) async fn sign_in(
        &self,
        session: &mut dyn SignIn,
        abandoned: &mut Abandoned,
    ) -> Result<Token> {
        let shown = match unless_cancelled(abandoned.wait(), self.begin(session)).await? {
            BeginResult::Token(token) => return Ok(*token),
            BeginResult::Shown(shown) => shown,
        };
        let response = self.poll(&shown, abandoned).await?;
        self.0.complete(&response, None).await
    }

    async fn begin(&self, session: &mut dyn SignIn) -> Result<BeginResult> {
        let Attempt { services, request, .. } = *self.0;
        if let AccountSelection::Token(token) = select_account(services, request, session).await? {
            return Ok(BeginResult::Token(token));
        }
        let caller_ui = request.sign_in_options.caller_ui.as_deref().ok_or_else(no_terminal)?;
        self.show_code(caller_ui).await.map(BeginResult::Shown)
    }

    async fn show_code(&self, caller_ui: &dyn CallerUi) -> Result<DeviceAuthorization> {
        let Attempt { services, request, metadata } = *self.0;
        let parameters = &request.parameters;
        let http = DeviceAuthorizationRequest {
            metadata,
            client_id: &parameters.client_id,
            scopes: &parameters.scopes,
            claims: self.0.claims().as_ref(),
            correlation_id: &parameters.correlation_id,
        }
        .http()?;
        let authorization = device_code::parse(&services.providers.transport.exchange(http).await?);
        let authorization = authorization.map_err(with_other_routes)?;
        let code = UserCode {
            user_code: authorization.user_code.clone(),
            verification_uri: authorization.verification_uri.clone(),
            expires_in: authorization.expires_in,
        };
        caller_ui.show_user_code(&code).await?;
        Ok(authorization)
    }

    /// Polls until the person is done. Without callers the polling ends between two requests, but
    /// not during one, because its response may contain the tokens.
    async fn poll(
        &self,
        shown: &DeviceAuthorization,
        abandoned: &mut Abandoned,
    ) -> Result<TokenResponse> {
        let services = self.0.services;
        let clock = &services.clock;
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
            let request = self.0.token_request(Grant::DeviceCode(&shown.device_code))?;
            let answer = services.providers.transport.exchange(request).await;
            pause = match answer.and_then(|response| device_code::poll(&response)) {
                Ok(Poll::Done(response)) => return Ok(*response),
                Ok(Poll::Pending) => interval,
                Ok(Poll::SlowDown) => {
                    interval += SLOW_DOWN_STEP;
                    interval
                }
                Err(error) => match error.kind() {
                    // RFC 8628 §3.5: after a temporary failure, poll more slowly.
                    ErrorKind::Transient { retry_after } => {
                        interval = interval.saturating_mul(2);
                        retry_after.unwrap_or_default().max(interval)
                    }
                    ErrorKind::Unavailable(Missing::Network) => {
                        interval = interval.saturating_mul(2);
                        interval
                    }
                    ErrorKind::TimedOut => return Err(expired()),
                    _ => return Err(with_other_routes(error)),
                },
            };
        }
    }
}

/// A provider whose policy blocks device codes often shows that on its page only, and the code then
/// expires.
fn expired() -> Error {
    Error::timed_out("the device code expired before a person signed in with it").with_hint(
        format!(
            "run the command again; if the page said that the sign-in is blocked, {OTHER_ROUTES}"
        ),
    )
}

fn with_other_routes(error: Error) -> Error {
    match (error.kind(), error.hint().map(str::to_owned)) {
        (ErrorKind::Denied(keybearer_core::Denial::Person), _) => error,
        (ErrorKind::Denied(_) | ErrorKind::InteractionRequired { .. }, hint) => {
            let before = hint.map_or_else(String::new, |hint| format!("{hint}; "));
            error.with_hint(format!("{before}{OTHER_ROUTES}: policies often block device codes"))
        }
        _ => error,
    }
}

const OTHER_ROUTES: &str = "run `keybearer login --paste`, or `keybearer login` in an SSH session, \
                          which shows the ssh -L command to use";
