//! The authorization code flow with PKCE,
//! [RFC 6749 §4.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1) and
//! [RFC 7636](https://www.rfc-editor.org/rfc/rfc7636).

use keybearer_core::{AuthorizationCode, CodeVerifier, ErrorKind, Result, Token};
use keybearer_protocol::authorize::{self, Answer, AuthorizationRequest, Expected};
use keybearer_protocol::error::with_redirect_hint;
use keybearer_protocol::metadata::ProviderMetadata;
use keybearer_protocol::pkce;
use keybearer_protocol::token::{self, Grant};
use url::Url;

use crate::deadline::unless_cancelled;
use crate::effects::{Random, SignIn};
use crate::flights::Abandoned;
use crate::sign_in::attempt::Attempt;
use crate::sign_in::selection::{AccountSelection, select_account};

/// A sign-in at the provider in a browser, which sends a code to the redirect URI.
pub(crate) struct AuthorizationCodeFlow<'a>(pub(crate) &'a Attempt<'a>);

/// The secrets that tie the answer of a browser, the id token and the code to this sign-in
/// (invariant I9).
struct PendingAuthorization {
    state: String,
    nonce: String,
    verifier: CodeVerifier,
}

impl PendingAuthorization {
    fn new(random: &dyn Random) -> Self {
        Self {
            state: pkce::opaque::<32>(random.bytes()),
            nonce: pkce::opaque::<32>(random.bytes()),
            verifier: pkce::verifier(random.bytes()),
        }
    }
}

/// The result of showing the sign-in to the person.
enum AuthorizationResult {
    /// A connected account was chosen, and its refresh token was enough.
    Token(Box<Token>),
    /// The provider has signed the person in.
    Code { code: AuthorizationCode, redirect_uri: Url, pending: PendingAuthorization },
}

impl AuthorizationCodeFlow<'_> {
    /// Signs the person in. Without callers the sign-in ends, but only until there is a code: the
    /// code is then redeemed and the account connected in any case.
    pub(crate) async fn sign_in(
        &self,
        session: &mut dyn SignIn,
        abandoned: &mut Abandoned,
    ) -> Result<Token> {
        let Self(attempt) = self;
        let (code, redirect_uri, pending) =
            match unless_cancelled(abandoned.wait(), self.authorize(session)).await? {
                AuthorizationResult::Token(token) => return Ok(*token),
                AuthorizationResult::Code { code, redirect_uri, pending } => {
                    (code, redirect_uri, pending)
                }
            };
        let request = attempt.token_request(Grant::AuthorizationCode {
            code: &code,
            redirect_uri: &redirect_uri,
            verifier: &pending.verifier,
        })?;
        let answer = attempt.services.providers.transport.exchange(request).await;
        let response = answer.and_then(|answer| token::parse(&answer)).map_err(|error| {
            with_redirect_hint(error, &redirect_uri, &attempt.request.parameters.client_id)
        })?;
        attempt.complete(&response, Some(&pending.nonce)).await
    }

    /// Shows the sign-in and waits for the code.
    async fn authorize(&self, session: &mut dyn SignIn) -> Result<AuthorizationResult> {
        let Attempt { services, request, metadata } = *self.0;
        let parameters = &request.parameters;
        let target = match select_account(services, request, session).await? {
            AccountSelection::Token(token) => return Ok(AuthorizationResult::Token(token)),
            AccountSelection::SignInTarget(target) => target,
        };
        let pending = PendingAuthorization::new(&*services.random);
        let redirect_uri = session.redirect_uri().clone();
        let url = AuthorizationRequest {
            metadata,
            client_id: &parameters.client_id,
            redirect_uri: &redirect_uri,
            response_mode: session.response_mode(),
            scopes: &parameters.scopes,
            state: &pending.state,
            nonce: &pending.nonce,
            challenge: &pkce::challenge(&pending.verifier),
            prompt: target.prompt,
            login_hint: target.login_hint.as_deref(),
            claims: self.0.claims().as_ref(),
            extra_query: &parameters.extra_query,
            correlation_id: &parameters.correlation_id,
        }
        .url()?;
        session.visit(&url).await?;
        let code =
            wait_for_code(session, metadata, &pending.state).await.map_err(|error| {
                match (error.kind(), error.hint().map(with_browser_advice)) {
                    (ErrorKind::Unavailable(_), Some(hint)) => error.with_hint(hint),
                    _ => with_redirect_hint(error, &redirect_uri, &parameters.client_id),
                }
            })?;
        Ok(AuthorizationResult::Code { code, redirect_uri, pending })
    }
}

/// Adds to a hint how to register the redirect URI. A provider that refuses it shows that on a page
/// and sends no answer.
pub(crate) fn with_browser_advice(hint: &str) -> String {
    format!(
        "{hint}; if AADSTS50011 is shown in the browser, add http://localhost to the redirect URIs \
         of the app registration (platform Mobile and desktop applications)"
    )
}

/// Waits for the answer with the state of this sign-in. Other answers are rejected (invariant I9).
async fn wait_for_code(
    session: &mut dyn SignIn,
    metadata: &ProviderMetadata,
    state: &str,
) -> Result<AuthorizationCode> {
    loop {
        let parameters = session.answer().await?;
        match authorize::answer(&parameters, &Expected { state, metadata }) {
            Answer::Code(code) => return Ok(code),
            Answer::Refused(error) => return Err(error),
            Answer::NotOurs => session.reject().await,
        }
    }
}
