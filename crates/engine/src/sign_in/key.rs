use std::collections::BTreeMap;

use keybearer_core::{
    AccountChoice, Authority, CallerId, Capabilities, Claims, ClientId, InteractiveRequest, Prompt,
    ProofOfPossession, ScopeSet, SignInMethod, SignInOptions, TokenParameters,
};
use url::Url;

use crate::sign_in::route::SignInRoute;

/// Everything that makes one sign-in different from another: requests with equal keys share one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct InteractiveKey {
    authority: Authority,
    client_id: ClientId,
    scopes: ScopeSet,
    account: AccountChoice,
    claims: Option<Claims>,
    capabilities: Capabilities,
    redirect_uri: Option<Url>,
    proof_of_possession: Option<ProofOfPossession>,
    extra_query: BTreeMap<String, String>,
    prompt: Prompt,
    method: SignInMethod,
    /// The only caller that can take part, if the sign-in is shown in that caller's terminal.
    terminal_of: Option<CallerId>,
}

impl InteractiveKey {
    /// The key of the sign-in that answers a request.
    pub(crate) fn of(request: &InteractiveRequest) -> Self {
        // Without `..`, so that the compiler asks whether a new parameter makes another sign-in:
        // one that is forgotten here would let a request share the sign-in of a different request.
        let InteractiveRequest { parameters, prompt, sign_in_options } = request;
        let SignInOptions {
            method,
            caller_ui: _, // its abilities decide about `terminal_of`
        } = sign_in_options;
        let TokenParameters {
            authority,
            client_id,
            redirect_uri,
            scopes,
            account,
            claims,
            capabilities,
            access_token_to_renew: _, // each caller compares it with the token of the sign-in
            proof_of_possession,
            extra_query,
            correlation_id: _, // for the logs
            deadline: _,       // each caller waits for itself
            caller,
        } = parameters;
        let is_private = SignInRoute::is_private(*method, &sign_in_options.abilities());
        Self {
            authority: authority.clone(),
            client_id: client_id.clone(),
            scopes: scopes.clone(),
            account: account.clone(),
            claims: claims.clone(),
            capabilities: capabilities.clone(),
            redirect_uri: redirect_uri.clone(),
            proof_of_possession: proof_of_possession.clone(),
            extra_query: extra_query.clone(),
            prompt: *prompt,
            method: *method,
            terminal_of: is_private.then(|| caller.id.clone()),
        }
    }
}
