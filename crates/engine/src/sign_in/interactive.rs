//! A token with the person: choose an account, sign in at the provider with code and PKCE, redeem.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use keybearer_core::{
    Account, AccountChoice, AccountPick, Authority, AuthorizationCode, CallerId, Claims, ClientId,
    CodeVerifier, Error, ErrorKind, HttpRequestToSign, InteractiveRequest, Prompt,
    ProofOfPossession, Result, SignInMethod, Token, TokenParameters, TokenSource,
};
use keybearer_protocol::authorize::{self, Answer, AuthorizationRequest, Expected};
use keybearer_protocol::error::with_redirect_hint;
use keybearer_protocol::metadata::ProviderMetadata;
use keybearer_protocol::pkce;
use keybearer_protocol::shr;
use keybearer_protocol::token::{self, Grant, TokenRequest, TokenResponse};
use url::Url;

use crate::deadline::unless_cancelled;
use crate::effects::SignIn;
use crate::engine::EngineState;
use crate::flights::Abandoned;
use crate::proof::Binding;
use crate::provider::issue::{Issued, RequestContext};
use crate::provider::providers::exchange;
use crate::refresh::silent::{Refresh, nested};
use crate::sign_in::attempt::is_no_ui;
use crate::sign_in::route::SignInRoute;
use crate::store::records::StoredRefresh;

/// Callers that ask for the same thing share one sign-in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct InteractiveKey {
    authority: Authority,
    client_id: ClientId,
    scopes: keybearer_core::ScopeSet,
    account: AccountChoice,
    claims: Option<Claims>,
    capabilities: keybearer_core::Capabilities,
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

/// What ties an answer to its request.
struct PendingAuthorization {
    state: String,
    nonce: String,
    verifier: CodeVerifier,
}

/// What asking the person came to.
enum AuthorizationResult {
    /// A connected account was chosen, and its refresh token was enough.
    Token(Box<Token>),
    /// The provider has signed the person in.
    Code { code: AuthorizationCode, redirect_uri: Url, ties: PendingAuthorization },
}

/// Whom the provider is asked to sign in, and how insistently.
pub(crate) struct SignInTarget {
    login_hint: Option<String>,
    prompt: Prompt,
}

/// What came of choosing an account.
pub(crate) enum AccountSelection {
    Token(Box<Token>),
    SignInTarget(SignInTarget),
}

impl EngineState {
    /// Joins the sign-in for this request, or starts it.
    pub(crate) async fn join_sign_in(
        self: &Arc<Self>,
        request: InteractiveRequest,
    ) -> Result<Token> {
        let parameters = request.parameters.clone();
        let request = InteractiveRequest { parameters: shared(request.parameters)?, ..request };
        let (key, inner) = (InteractiveKey::of(&request), Arc::clone(self));
        let (sign_in_options, mut began) = (request.sign_in_options.clone(), false);
        let start = |abandoned| {
            began = true;
            inner.interactive(request, abandoned)
        };
        let flight = self.sign_ins.join(&*self.effects.spawner, &key, start);
        let token = match sign_in_options.caller_ui.filter(|_| !began) {
            None => flight.landed().await?,
            // Somebody else's browser has it; whoever waits for that is not left wondering.
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
        // The sign-in was begun by somebody whom that token was good enough for; or whose key the
        // token is to be bound to was not known before it, and every caller gets a signature of
        // its own.
        let account = AccountChoice::Exact(token.account.home_account_id);
        let bound = Box::pin(self.silent(&TokenParameters { account, ..parameters })).await?;
        Ok(if is_refused { bound } else { Token { source: token.source, ..bound } })
    }

    /// The interactive flow for a request whose authority is trusted: silently if that will do.
    ///
    /// While the provider asks to wait, a request that would do without the person is refused like
    /// a silent one; one that needs the person may ask all the same, as with Microsoft's clients.
    pub(crate) async fn interactive(
        self: Arc<Self>,
        request: InteractiveRequest,
        abandoned: Abandoned,
    ) -> Result<Token> {
        let result = self.interactive_once(&request, abandoned).await;
        let parameters = &request.parameters;
        let environment = parameters.authority.host().environment();
        result.inspect_err(|error| self.note_busy(environment, &parameters.client_id, error))
    }

    async fn interactive_once(
        self: &Arc<Self>,
        request: &InteractiveRequest,
        abandoned: Abandoned,
    ) -> Result<Token> {
        let parameters = &request.parameters;
        if request.prompt == Prompt::IfNeeded && parameters.claims.is_none() {
            match self.silent(parameters).await {
                Err(error) if matches!(error.kind(), ErrorKind::InteractionRequired { .. }) => {}
                result => return result,
            }
        }
        let id = &parameters.correlation_id;
        let metadata = self.providers.metadata(&self.effects, &parameters.authority, id).await?;
        let mut abandoned = abandoned;
        let mut no_ui_error = None;
        for way in
            SignInRoute::order(request.sign_in_options.method, &request.sign_in_options.abilities())
        {
            match Box::pin(self.attempt(request, &metadata, *way, &mut abandoned)).await {
                Err(error) if is_no_ui(&error) => {
                    tracing::debug!(correlation_id = %id, ?way, %error, "not a way to sign in");
                    no_ui_error = Some(error);
                }
                decided => return decided,
            }
        }
        Err(self.no_ui_error(parameters, no_ui_error))
    }

    /// While the person is asked, everybody may leave; once there is a code, it is redeemed and
    /// the account connected whoever still waits.
    pub(crate) async fn sign_in(
        self: &Arc<Self>,
        request: &InteractiveRequest,
        metadata: &ProviderMetadata,
        sign_in: &mut dyn SignIn,
        abandoned: &mut Abandoned,
    ) -> Result<Token> {
        let parameters = &request.parameters;
        let asking = self.ask(request, metadata, sign_in);
        match unless_cancelled(abandoned.wait(), asking).await? {
            AuthorizationResult::Token(token) => Ok(*token),
            AuthorizationResult::Code { code, redirect_uri, ties } => {
                let grant = Grant::AuthorizationCode {
                    code: &code,
                    redirect_uri: &redirect_uri,
                    verifier: &ties.verifier,
                };
                let redeemed = self.redeem_code(parameters, metadata, grant).await;
                let response = redeemed.map_err(|error| {
                    with_redirect_hint(error, &redirect_uri, &parameters.client_id)
                })?;
                self.complete(parameters, metadata, &response, Some(&ties.nonce)).await
            }
        }
    }

    async fn ask(
        self: &Arc<Self>,
        request: &InteractiveRequest,
        metadata: &ProviderMetadata,
        sign_in: &mut dyn SignIn,
    ) -> Result<AuthorizationResult> {
        let parameters = &request.parameters;
        let ask = match self.choose(request, sign_in).await? {
            AccountSelection::Token(token) => return Ok(AuthorizationResult::Token(token)),
            AccountSelection::SignInTarget(ask) => ask,
        };
        let ties = self.ties();
        let redirect_uri = sign_in.redirect_uri().clone();
        let url = AuthorizationRequest {
            metadata,
            client_id: &parameters.client_id,
            redirect_uri: &redirect_uri,
            response_mode: sign_in.response_mode(),
            scopes: &parameters.scopes,
            state: &ties.state,
            nonce: &ties.nonce,
            challenge: &pkce::challenge(&ties.verifier),
            prompt: ask.prompt,
            login_hint: ask.login_hint.as_deref(),
            claims: merged_claims(parameters).as_ref(),
            extra_query: &parameters.extra_query,
            correlation_id: &parameters.correlation_id,
        }
        .url()?;
        sign_in.visit(&url).await?;
        let code = wait_for_code(sign_in, metadata, &ties.state).await.map_err(|error| {
            match (error.kind(), error.hint().map(seen_in_browser)) {
                (ErrorKind::Unavailable(_), Some(hint)) => error.with_hint(hint),
                _ => with_redirect_hint(error, &redirect_uri, &parameters.client_id),
            }
        })?;
        Ok(AuthorizationResult::Code { code, redirect_uri, ties })
    }

    /// Decides whom to ask the provider for; a connected account may make asking unnecessary.
    pub(crate) async fn choose(
        self: &Arc<Self>,
        request: &InteractiveRequest,
        sign_in: &mut dyn SignIn,
    ) -> Result<AccountSelection> {
        let parameters = &request.parameters;
        let ask = |login_hint, prompt| {
            Ok(AccountSelection::SignInTarget(SignInTarget { login_hint, prompt }))
        };
        let connected = {
            let environment = parameters.authority.host().environment();
            self.state().registry.accounts_in(environment)
        };
        match &parameters.account {
            AccountChoice::LoginHint(username) => ask(Some(username.clone()), request.prompt),
            AccountChoice::Exact(id) => {
                let known = connected.iter().find(|account| account.home_account_id == *id);
                ask(known.map(|account| account.username.clone()), request.prompt)
            }
            AccountChoice::Only | AccountChoice::Default if connected.is_empty() => {
                ask(None, request.prompt)
            }
            AccountChoice::Only | AccountChoice::Default => {
                match sign_in.choose_account(&connected).await? {
                    AccountPick::Another => ask(None, Prompt::SelectAccount),
                    AccountPick::Known(id) => {
                        let known = connected.iter().find(|account| account.home_account_id == id);
                        let account = known.ok_or_else(|| {
                            Error::internal("the chosen account was not among those offered")
                        })?;
                        self.chosen(request, account).await
                    }
                }
            }
        }
    }

    /// The person chose a connected account: often its refresh token is all it takes.
    async fn chosen(
        self: &Arc<Self>,
        request: &InteractiveRequest,
        account: &Account,
    ) -> Result<AccountSelection> {
        let insistent = matches!(request.prompt, Prompt::Login | Prompt::Consent);
        if !insistent && request.parameters.claims.is_none() {
            match self.silent_for(&request.parameters, account).await {
                Ok(token) => return Ok(AccountSelection::Token(Box::new(token))),
                Err(error) if matches!(error.kind(), ErrorKind::InteractionRequired { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let prompt = if insistent { request.prompt } else { Prompt::IfNeeded };
        Ok(AccountSelection::SignInTarget(SignInTarget {
            login_hint: Some(account.username.clone()),
            prompt,
        }))
    }

    fn ties(&self) -> PendingAuthorization {
        PendingAuthorization {
            state: pkce::opaque::<32>(self.random()),
            nonce: pkce::opaque::<32>(self.random()),
            verifier: pkce::verifier(self.random()),
        }
    }

    async fn redeem_code(
        &self,
        parameters: &TokenParameters,
        metadata: &ProviderMetadata,
        grant: Grant<'_>,
    ) -> Result<TokenResponse> {
        let request = TokenRequest {
            metadata,
            client_id: &parameters.client_id,
            grant,
            scopes: &parameters.scopes,
            claims: merged_claims(parameters).as_ref(),
            account: None,
            extra: &nested(parameters),
            correlation_id: &parameters.correlation_id,
        }
        .http()?;
        token::parse(&exchange(&self.effects, request).await?)
    }

    /// Connects the account and stores what was issued before anything is handed out.
    pub(crate) async fn complete(
        &self,
        parameters: &TokenParameters,
        metadata: &ProviderMetadata,
        response: &TokenResponse,
        nonce: Option<&str>,
    ) -> Result<Token> {
        let asked = RequestContext {
            authority: &parameters.authority,
            metadata,
            client_id: &parameters.client_id,
            scopes: &parameters.scopes,
            nonce,
            correlation_id: &parameters.correlation_id,
        };
        let account = self.identify(&asked, response).await?;
        let account = account.ok_or_else(|| Error::protocol("an id token", "none"))?;
        parameters.account.check_sign_in(&account)?;
        let refresh = response.refresh_token.clone();
        let refresh = refresh.map(|token| StoredRefresh::new(token, response.family.clone()));
        self.connect(account.clone(), &parameters.client_id, refresh).await?;
        let issued = Issued { asked: &asked, response, source: TokenSource::SignIn };
        let token = self.token(issued, account);
        let key = Refresh::new(parameters, &token.account, Binding::Bearer).key;
        self.remember(key, token.clone());
        Ok(token)
    }
}

/// A sign-in is the same whatever HTTP request is to be signed in the end, so callers share it.
///
/// # Errors
/// Those of a request that could not be signed: better before the sign-in than after it.
fn shared(parameters: TokenParameters) -> Result<TokenParameters> {
    let mut parameters = parameters;
    if let Some(ProofOfPossession::Signed(http)) = &mut parameters.proof_of_possession {
        shr::check(http)?;
        *http = HttpRequestToSign::default();
    }
    Ok(parameters)
}

/// A provider that refuses the redirect URI says so on a page, not to us; the hint must do.
pub(crate) fn seen_in_browser(hint: &str) -> String {
    format!(
        "{hint}; if AADSTS50011 is shown in the browser, add http://localhost to the redirect URIs \
         of the app registration (platform Mobile and desktop applications)"
    )
}

pub(crate) fn merged_claims(parameters: &TokenParameters) -> Option<Claims> {
    Claims::merge(parameters.claims.as_ref(), &parameters.capabilities)
}

/// Waits for the one answer with our state; others are turned away and do no harm (invariant I9).
async fn wait_for_code(
    sign_in: &mut dyn SignIn,
    metadata: &ProviderMetadata,
    state: &str,
) -> Result<AuthorizationCode> {
    loop {
        let parameters = sign_in.answer().await?;
        match authorize::answer(&parameters, &Expected { state, metadata }) {
            Answer::Code(code) => return Ok(code),
            Answer::Refused(error) => return Err(error),
            Answer::NotOurs => sign_in.reject().await,
        }
    }
}
