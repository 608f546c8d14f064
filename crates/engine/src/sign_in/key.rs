use std::collections::BTreeMap;

use keybearer_core::{
    AccountChoice, Authority, CallerId, Capabilities, Claims, ClientId, InteractiveRequest, Prompt,
    ProofOfPossession, ScopeSet, SignInMethod,
};
use url::Url;

use crate::sign_in::route::SignInRoute;

/// Callers that ask for the same thing share one sign-in.
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
    /// Whose terminal it is, if nobody else can take part.
    only: Option<CallerId>,
}

impl InteractiveKey {
    pub(crate) fn of(request: &InteractiveRequest) -> Self {
        let (parameters, method) = (&request.parameters, request.sign_in_options.method);
        let private = SignInRoute::is_private(method, &request.sign_in_options.abilities());
        Self {
            method,
            only: private.then(|| parameters.caller.id.clone()),
            authority: parameters.authority.clone(),
            client_id: parameters.client_id.clone(),
            scopes: parameters.scopes.clone(),
            account: parameters.account.clone(),
            claims: parameters.claims.clone(),
            capabilities: parameters.capabilities.clone(),
            redirect_uri: parameters.redirect_uri.clone(),
            proof_of_possession: parameters.proof_of_possession.clone(),
            extra_query: parameters.extra_query.clone(),
            prompt: request.prompt,
        }
    }
}
