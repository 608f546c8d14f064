//! One way to sign a person in, tried from its opening to its last word.

use std::sync::Arc;

use keybearer_core::{
    AccountChoice, Error, ErrorKind, InteractiveRequest, Missing, Result, Token, TokenParameters,
    no_terminal,
};
use keybearer_protocol::metadata::ProviderMetadata;

use crate::accounts::choice::several_accounts;
use crate::deadline::unless_cancelled;
use crate::effects::{SignIn, SignInOutcome, SignInPrompt};
use crate::engine::EngineState;
use crate::flights::Abandoned;
use crate::sign_in::route::SignInRoute;
use crate::sign_in::terminal::{TerminalSignIn, forwarded, is_native_client, paste_redirect_uri};

impl EngineState {
    /// Nobody can be asked. Where the question was only which account, its name is all it takes.
    pub(crate) fn no_ui_error(&self, parameters: &TokenParameters, last: Option<Error>) -> Error {
        let environment = parameters.authority.host().environment();
        let connected = self.state().registry.accounts_in(environment);
        match (&parameters.account, &connected[..]) {
            (AccountChoice::Only, [_, _, ..]) => several_accounts(&connected),
            _ => last.unwrap_or_else(no_terminal),
        }
    }

    /// Signs in one way, to the end.
    pub(crate) async fn attempt(
        self: &Arc<Self>,
        request: &InteractiveRequest,
        metadata: &ProviderMetadata,
        way: SignInRoute,
        abandoned: &mut Abandoned,
    ) -> Result<Token> {
        let mut sign_in = self.open(request, way).await?;
        let result = match way {
            SignInRoute::DeviceCode => {
                self.sign_in_elsewhere(request, metadata, &mut *sign_in, abandoned).await
            }
            SignInRoute::Desktop | SignInRoute::Terminal | SignInRoute::Paste => {
                if way == SignInRoute::Desktop {
                    point_to_browser(request, abandoned).await;
                }
                self.sign_in(request, metadata, &mut *sign_in, abandoned).await
            }
        };
        let outcome = match &result {
            Ok(token) => SignInOutcome::SignedIn { username: token.account.username.clone() },
            Err(error) => SignInOutcome::Failed { reason: error.to_string() },
        };
        sign_in.finish(outcome).await;
        result
    }

    async fn open(
        &self,
        request: &InteractiveRequest,
        way: SignInRoute,
    ) -> Result<Box<dyn SignIn>> {
        let sign_in_ui = &self.effects.sign_in_ui;
        let prompt = prompt_of(request);
        let requested = prompt.redirect_uri.as_ref();
        let terminal = || {
            let caller_ui = request.sign_in_options.caller_ui.clone();
            caller_ui.filter(|p| p.abilities().terminal.is_some()).ok_or_else(no_terminal)
        };
        Ok(match way {
            SignInRoute::Desktop => return sign_in_ui.open(&prompt).await,
            SignInRoute::Terminal if !requested.is_some_and(is_native_client) => {
                let caller_ui = terminal()?;
                match self.listen(&prompt).await {
                    Ok(listener) => Box::new(TerminalSignIn::listening(caller_ui, listener)),
                    // Nothing can listen here; pasting does without.
                    Err(error) if is_no_ui(&error) => {
                        let redirect_uri = paste_redirect_uri(requested)?;
                        Box::new(TerminalSignIn::pasting(caller_ui, redirect_uri))
                    }
                    Err(error) => return Err(error),
                }
            }
            SignInRoute::Terminal | SignInRoute::Paste | SignInRoute::DeviceCode => {
                let caller_ui = terminal()?;
                let redirect_uri = match way {
                    // It is not used.
                    SignInRoute::DeviceCode => paste_redirect_uri(None)?,
                    _ => paste_redirect_uri(requested)?,
                };
                Box::new(TerminalSignIn::pasting(caller_ui, redirect_uri))
            }
        })
    }

    /// Listens at the port that people forward, if the redirect URI leaves it open and it is free,
    /// or else where the redirect URI says.
    async fn listen(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let sign_in_ui = &self.effects.sign_in_ui;
        let port = self.settings.forwarded_port();
        if let Some(redirect_uri) = forwarded(prompt.redirect_uri.as_ref(), port) {
            let redirect_uri = Some(redirect_uri);
            let listening =
                sign_in_ui.listen(&SignInPrompt { redirect_uri, ..prompt.clone() }).await;
            if listening.is_ok() {
                return listening;
            }
        }
        sign_in_ui.listen(prompt).await
    }
}

/// Whether nobody got to see anything.
pub(crate) fn is_no_ui(error: &Error) -> bool {
    *error.kind() == ErrorKind::Unavailable(Missing::UserInterface)
}

/// A caller that does not answer is not waited for longer than anybody waits for the sign-in.
async fn point_to_browser(request: &InteractiveRequest, abandoned: &mut Abandoned) {
    if let Some(caller_ui) = &request.sign_in_options.caller_ui {
        let pointing = async {
            caller_ui.point_to_browser().await;
            Ok(())
        };
        // Whoever has left is noticed again by what follows.
        let _ = unless_cancelled(abandoned.wait(), pointing).await;
    }
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
