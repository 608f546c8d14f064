//! The interactive flow: a token without a prompt if that is possible, or else by one route after
//! the other.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use keybearer_core::{
    AccountChoice, Error, ErrorKind, HttpRequestToSign, InteractiveRequest, Prompt,
    ProofOfPossession, Result, Token, TokenParameters, no_terminal,
};
use keybearer_protocol::shr;

use crate::accounts::choice::several_accounts;
use crate::deadline::unless_cancelled;
use crate::effects::{Effects, SignInOutcome};
use crate::flights::{Abandoned, Flights};
use crate::sign_in::attempt::Attempt;
use crate::sign_in::authorization_code::AuthorizationCodeFlow;
use crate::sign_in::device_code::DeviceCodeFlow;
use crate::sign_in::key::InteractiveKey;
use crate::sign_in::opening::{is_no_ui, open};
use crate::sign_in::route::SignInRoute;
use crate::sign_in::services::Services;

/// The sign-ins under way. Requests for the same sign-in share one.
pub(crate) struct SignIns {
    services: Arc<Services>,
    flights: Flights<InteractiveKey, Token>,
}

impl SignIns {
    pub(crate) fn new(effects: &Effects, services: Services) -> Self {
        let flights = Flights::new(Arc::clone(&effects.spawner));
        Self { services: Arc::new(services), flights }
    }

    /// How many sign-ins are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Joins the sign-in for this request, or starts it.
    pub(crate) async fn join(&self, request: InteractiveRequest) -> Result<Token> {
        let parameters = request.parameters.clone();
        let request =
            InteractiveRequest { parameters: without_http_request(request.parameters)?, ..request };
        let (key, services) = (InteractiveKey::of(&request), Arc::clone(&self.services));
        let (sign_in_options, mut began) = (request.sign_in_options.clone(), false);
        let start = |abandoned| {
            began = true;
            interactive(services, request, abandoned)
        };
        let flight = self.flights.join(&key, start);
        let token = match sign_in_options.caller_ui.filter(|_| !began) {
            None => flight.landed().await?,
            // Another caller started the sign-in; this caller's person must know where it is.
            Some(caller_ui) => {
                match select(pin!(flight.landed()), caller_ui.point_to_browser()).await {
                    Either::Left((landed, _)) => landed?,
                    Either::Right(((), landed)) => landed.await?,
                }
            }
        };
        let refused = parameters.access_token_to_renew.as_ref();
        let is_refused = refused.is_some_and(|refused| refused.same_as(&token.access_token));
        if !is_refused && parameters.proof_of_possession.is_none() {
            return Ok(token);
        }
        // Either the caller that started the sign-in accepts the token that this caller was refused
        // with; or the token must be bound to the key of the account, which is known only now, and
        // each caller gets its own signature.
        let account = AccountChoice::Exact(token.account.home_account_id);
        let parameters = TokenParameters { account, ..parameters };
        let bound = Box::pin(self.services.silent.token(&parameters)).await?;
        Ok(if is_refused { bound } else { Token { source: token.source, ..bound } })
    }
}

/// The parameters without the HTTP request to sign, so that callers share a sign-in whatever they
/// sign afterwards.
///
/// # Errors
/// Those of an HTTP request that cannot be signed, so that the person does not sign in in vain.
fn without_http_request(parameters: TokenParameters) -> Result<TokenParameters> {
    let mut parameters = parameters;
    if let Some(ProofOfPossession::Signed(http)) = &mut parameters.proof_of_possession {
        shr::check(http)?;
        *http = HttpRequestToSign::default();
    }
    Ok(parameters)
}

/// The interactive flow for a request whose authority is trusted.
///
/// If the provider asked to wait, a request that can be answered without the person fails like a
/// silent one. A request that needs the person is sent all the same, as Microsoft's clients do.
async fn interactive(
    services: Arc<Services>,
    request: InteractiveRequest,
    abandoned: Abandoned,
) -> Result<Token> {
    let result = interactive_once(&services, &request, abandoned).await;
    let parameters = &request.parameters;
    let environment = parameters.authority.host().environment();
    result.inspect_err(|error| {
        services.providers.note_busy(environment, &parameters.client_id, error);
    })
}

async fn interactive_once(
    services: &Services,
    request: &InteractiveRequest,
    abandoned: Abandoned,
) -> Result<Token> {
    let parameters = &request.parameters;
    if request.prompt == Prompt::IfNeeded && parameters.claims.is_none() {
        match services.silent.token(parameters).await {
            Err(error) if matches!(error.kind(), ErrorKind::InteractionRequired { .. }) => {}
            result => return result,
        }
    }
    let id = &parameters.correlation_id;
    let metadata = services.providers.metadata(&parameters.authority, id).await?;
    let attempt = Attempt { services, request, metadata: &metadata };
    let (mut abandoned, mut last) = (abandoned, None);
    let options = &request.sign_in_options;
    for route in SignInRoute::order(options.method, &options.abilities()) {
        match Box::pin(sign_in_by(*route, &attempt, &mut abandoned)).await {
            Err(error) if is_no_ui(&error) => {
                tracing::debug!(correlation_id = %id, ?route, %error, "the sign-in route is not available");
                last = Some(error);
            }
            decided => return decided,
        }
    }
    Err(no_ui_error(services, parameters, last))
}

/// Signs the person in by one route, and shows how the sign-in ended.
async fn sign_in_by(
    route: SignInRoute,
    attempt: &Attempt<'_>,
    abandoned: &mut Abandoned,
) -> Result<Token> {
    let mut session = open(attempt, route).await?;
    let result = match route {
        SignInRoute::DeviceCode => DeviceCodeFlow(attempt).sign_in(&mut *session, abandoned).await,
        SignInRoute::Desktop | SignInRoute::Terminal | SignInRoute::Paste => {
            if route == SignInRoute::Desktop {
                point_to_browser(attempt.request, abandoned).await;
            }
            AuthorizationCodeFlow(attempt).sign_in(&mut *session, abandoned).await
        }
    };
    let outcome = match &result {
        Ok(token) => SignInOutcome::SignedIn { username: token.account.username.clone() },
        Err(error) => SignInOutcome::Failed { reason: error.to_string() },
    };
    session.finish(outcome).await;
    result
}

/// Shows the person that the sign-in continues in a browser. Ends early if no caller is left,
/// because the call to the caller has no time limit.
async fn point_to_browser(request: &InteractiveRequest, abandoned: &mut Abandoned) {
    if let Some(caller_ui) = &request.sign_in_options.caller_ui {
        let pointing = async {
            caller_ui.point_to_browser().await;
            Ok(())
        };
        // The next step notices again that no caller is left.
        let _ = unless_cancelled(abandoned.wait(), pointing).await;
    }
}

/// The error if no route has a user interface. If only the choice of an account was open, the
/// caller can name the account instead.
fn no_ui_error(services: &Services, parameters: &TokenParameters, last: Option<Error>) -> Error {
    let environment = parameters.authority.host().environment();
    let connected = services.accounts.registry().accounts_in(environment);
    match (&parameters.account, &connected[..]) {
        (AccountChoice::Only, [_, _, ..]) => several_accounts(&connected),
        _ => last.unwrap_or_else(no_terminal),
    }
}
