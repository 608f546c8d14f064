//! Opens a sign-in session for a route.

use keybearer_core::{Error, ErrorKind, InteractiveRequest, Missing, Result, no_terminal};

use crate::effects::{SignIn, SignInPrompt};
use crate::sign_in::attempt::Attempt;
use crate::sign_in::route::SignInRoute;
use crate::sign_in::services::Services;
use crate::sign_in::terminal::{
    TerminalSignIn, is_native_client, paste_redirect_uri, with_forwarded_port,
};

/// Opens the session of a route, before anything is shown.
///
/// # Errors
/// `Unavailable(UserInterface)` if the route needs a user interface that is not there.
pub(crate) async fn open(attempt: &Attempt<'_>, route: SignInRoute) -> Result<Box<dyn SignIn>> {
    let Attempt { services, request, .. } = *attempt;
    let prompt = prompt_of(request);
    let requested = prompt.redirect_uri.as_ref();
    let terminal = || {
        let caller_ui = request.sign_in_options.caller_ui.clone();
        caller_ui.filter(|ui| ui.abilities().terminal.is_some()).ok_or_else(no_terminal)
    };
    Ok(match route {
        SignInRoute::Desktop => return services.ui.open(&prompt).await,
        SignInRoute::Terminal if !requested.is_some_and(is_native_client) => {
            let caller_ui = terminal()?;
            match listen(services, &prompt).await {
                Ok(listener) => Box::new(TerminalSignIn::listening(caller_ui, listener)),
                // Pasting needs no listener.
                Err(error) if is_no_ui(&error) => {
                    let redirect_uri = paste_redirect_uri(requested)?;
                    Box::new(TerminalSignIn::pasting(caller_ui, redirect_uri))
                }
                Err(error) => return Err(error),
            }
        }
        SignInRoute::Terminal | SignInRoute::Paste | SignInRoute::DeviceCode => {
            let caller_ui = terminal()?;
            let redirect_uri = match route {
                // A device code has no redirect URI, so this one is not used.
                SignInRoute::DeviceCode => paste_redirect_uri(None)?,
                _ => paste_redirect_uri(requested)?,
            };
            Box::new(TerminalSignIn::pasting(caller_ui, redirect_uri))
        }
    })
}

/// Listens at the forwarded port if the redirect URI leaves the port open and the port is free, or
/// else at the redirect URI.
async fn listen(services: &Services, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
    if let Some(redirect_uri) =
        with_forwarded_port(prompt.redirect_uri.as_ref(), services.forwarded_port)
    {
        let redirect_uri = Some(redirect_uri);
        let listening = services.ui.listen(&SignInPrompt { redirect_uri, ..prompt.clone() }).await;
        if listening.is_ok() {
            return listening;
        }
    }
    services.ui.listen(prompt).await
}

/// Whether the session failed before the person saw anything.
pub(crate) fn is_no_ui(error: &Error) -> bool {
    *error.kind() == ErrorKind::Unavailable(Missing::UserInterface)
}

fn prompt_of(request: &InteractiveRequest) -> SignInPrompt {
    let parameters = &request.parameters;
    SignInPrompt {
        caller: parameters.caller.clone(),
        client_id: parameters.client_id.clone(),
        authority_host: parameters.authority.host().clone(),
        tenant: parameters.authority.tenant().clone(),
        scopes: parameters.scopes.clone(),
        redirect_uri: parameters.redirect_uri.clone(),
        correlation_id: parameters.correlation_id.clone(),
        caller_ui: request.sign_in_options.caller_ui.clone(),
    }
}
