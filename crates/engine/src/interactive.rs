//! A token with the person: choose an account, sign in at the provider with code and PKCE, redeem.

use std::collections::BTreeMap;
use std::sync::Arc;

use keybearer_core::{
    Account, AccountChoice, AccountPick, Authority, AuthorizationCode, CallerId, Claims, ClientId,
    CodeVerifier, Error, ErrorKind, InteractiveRequest, Missing, Prompt, Result, SignInMethod,
    Token, TokenParameters, TokenSource,
};
use keybearer_protocol::authorize::{self, Answer, AuthorizationRequest, Expected};
use keybearer_protocol::error::with_redirect_hint;
use keybearer_protocol::metadata::ProviderMetadata;
use keybearer_protocol::pkce;
use keybearer_protocol::token::{self, Grant, TokenRequest, TokenResponse};
use url::Url;

use crate::deadline::unless_cancelled;
use crate::device_code::no_terminal;
use crate::effects::{SignIn, SignInOutcome, SignInPrompt};
use crate::engine::Inner;
use crate::flights::Abandoned;
use crate::issue::{Asked, Issued, another_account};
use crate::providers::exchange;
use crate::registry::{RefreshEntry, several_accounts};
use crate::silent::Refresh;
use crate::terminal::{TerminalSignIn, forwarded, is_native_client, paste_redirect_uri};
use crate::way::Way;

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
    extra_query: BTreeMap<String, String>,
    prompt: Prompt,
    method: SignInMethod,
    /// Whose terminal it is, if nobody else can take part.
    only: Option<CallerId>,
}

impl InteractiveKey {
    pub(crate) fn of(request: &InteractiveRequest) -> Self {
        let (parameters, method) = (&request.parameters, request.presence.method);
        let private = Way::is_private(method, &request.presence.abilities());
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
            extra_query: parameters.extra_query.clone(),
            prompt: request.prompt,
        }
    }
}

/// What ties an answer to its request.
struct Ties {
    state: String,
    nonce: String,
    verifier: CodeVerifier,
}

/// What asking the person came to.
enum Answered {
    /// A connected account was chosen, and its refresh token was enough.
    Token(Box<Token>),
    /// The provider has signed the person in.
    Code { code: AuthorizationCode, redirect_uri: Url, ties: Ties },
}

/// Whom the provider is asked to sign in, and how insistently.
pub(crate) struct Ask {
    login_hint: Option<String>,
    prompt: Prompt,
}

/// What came of choosing an account.
pub(crate) enum Chosen {
    Token(Box<Token>),
    Ask(Ask),
}

impl Inner {
    /// Joins the sign-in for this request, or starts it.
    pub(crate) async fn join_sign_in(
        self: &Arc<Self>,
        request: InteractiveRequest,
    ) -> Result<Token> {
        let (key, inner) = (InteractiveKey::of(&request), Arc::clone(self));
        let parameters = request.parameters.clone();
        let start = |abandoned| inner.interactive(request, abandoned);
        let token = self.sign_ins.join(&*self.effects.spawner, &key, start).landed().await?;
        let refused = parameters.access_token_to_renew.as_ref();
        if refused.is_none_or(|refused| !refused.same_as(&token.access_token)) {
            return Ok(token);
        }
        // The sign-in was begun by somebody whom that token was good enough for.
        let account = AccountChoice::Exact(token.account.home_account_id);
        Box::pin(self.silent(&TokenParameters { account, ..parameters })).await
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
        let mut unseen = None;
        for way in Way::order(request.presence.method, &request.presence.abilities()) {
            match Box::pin(self.attempt(request, &metadata, *way, &mut abandoned)).await {
                Err(error) if *error.kind() == ErrorKind::Unavailable(Missing::UserInterface) => {
                    tracing::debug!(correlation_id = %id, ?way, %error, "not a way to sign in");
                    unseen = Some(error);
                }
                decided => return decided,
            }
        }
        Err(self.unseen(parameters, unseen))
    }

    /// Nobody can be asked. Where the question was only which account, its name is all it takes.
    fn unseen(&self, parameters: &TokenParameters, last: Option<Error>) -> Error {
        let environment = parameters.authority.host().environment();
        let connected = self.state().registry.accounts_in(environment);
        match (&parameters.account, &connected[..]) {
            (AccountChoice::Only, [_, _, ..]) => several_accounts(&connected),
            _ => last.unwrap_or_else(no_terminal),
        }
    }

    /// Signs in one way, to the end.
    async fn attempt(
        self: &Arc<Self>,
        request: &InteractiveRequest,
        metadata: &ProviderMetadata,
        way: Way,
        abandoned: &mut Abandoned,
    ) -> Result<Token> {
        let mut sign_in = self.open(request, way).await?;
        let result = match way {
            Way::DeviceCode => {
                self.sign_in_elsewhere(request, metadata, &mut *sign_in, abandoned).await
            }
            Way::Desktop | Way::Terminal | Way::Paste => {
                if way == Way::Desktop {
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

    async fn open(&self, request: &InteractiveRequest, way: Way) -> Result<Box<dyn SignIn>> {
        let prompter = &self.effects.prompter;
        let prompt = prompt_of(request);
        let requested = prompt.redirect_uri.as_ref();
        let terminal = || {
            let presenter = request.presence.presenter.clone();
            presenter.filter(|p| p.abilities().terminal.is_some()).ok_or_else(no_terminal)
        };
        Ok(match way {
            Way::Desktop => return prompter.open(&prompt).await,
            Way::Terminal if !requested.is_some_and(is_native_client) => {
                let presenter = terminal()?;
                let fixed = forwarded(requested, self.settings.forwarded_port());
                let prompt_at = |redirect_uri| SignInPrompt { redirect_uri, ..prompt.clone() };
                let mut listening = prompter.listen(&prompt_at(fixed.clone())).await;
                if fixed.is_some() && listening.is_err() {
                    listening = prompter.listen(&prompt).await;
                }
                Box::new(TerminalSignIn::listening(presenter, listening?))
            }
            Way::Terminal | Way::Paste | Way::DeviceCode => {
                let presenter = terminal()?;
                let redirect_uri = match way {
                    // It is not used.
                    Way::DeviceCode => paste_redirect_uri(None)?,
                    _ => paste_redirect_uri(requested)?,
                };
                Box::new(TerminalSignIn::pasting(presenter, redirect_uri))
            }
        })
    }

    /// While the person is asked, everybody may leave; once there is a code, it is redeemed and
    /// the account connected whoever still waits.
    async fn sign_in(
        self: &Arc<Self>,
        request: &InteractiveRequest,
        metadata: &ProviderMetadata,
        sign_in: &mut dyn SignIn,
        abandoned: &mut Abandoned,
    ) -> Result<Token> {
        let parameters = &request.parameters;
        let asking = self.ask(request, metadata, sign_in);
        match unless_cancelled(abandoned.wait(), asking).await? {
            Answered::Token(token) => Ok(*token),
            Answered::Code { code, redirect_uri, ties } => {
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
    ) -> Result<Answered> {
        let parameters = &request.parameters;
        let ask = match self.choose(request, sign_in).await? {
            Chosen::Token(token) => return Ok(Answered::Token(token)),
            Chosen::Ask(ask) => ask,
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
        Ok(Answered::Code { code, redirect_uri, ties })
    }

    /// Decides whom to ask the provider for; a connected account may make asking unnecessary.
    pub(crate) async fn choose(
        self: &Arc<Self>,
        request: &InteractiveRequest,
        sign_in: &mut dyn SignIn,
    ) -> Result<Chosen> {
        let parameters = &request.parameters;
        let ask = |login_hint, prompt| Ok(Chosen::Ask(Ask { login_hint, prompt }));
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
    ) -> Result<Chosen> {
        let insistent = matches!(request.prompt, Prompt::Login | Prompt::Consent);
        if !insistent && request.parameters.claims.is_none() {
            match self.silent_for(&request.parameters, account).await {
                Ok(token) => return Ok(Chosen::Token(Box::new(token))),
                Err(error) if matches!(error.kind(), ErrorKind::InteractionRequired { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let prompt = if insistent { request.prompt } else { Prompt::IfNeeded };
        Ok(Chosen::Ask(Ask { login_hint: Some(account.username.clone()), prompt }))
    }

    fn ties(&self) -> Ties {
        Ties {
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
            extra: &Default::default(),
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
        let asked = Asked {
            authority: &parameters.authority,
            metadata,
            client_id: &parameters.client_id,
            scopes: &parameters.scopes,
            nonce,
            correlation_id: &parameters.correlation_id,
        };
        let account = self.identify(&asked, response).await?;
        let account = account.ok_or_else(|| Error::protocol("an id token", "none"))?;
        if let AccountChoice::Exact(id) = &parameters.account
            && account.home_account_id != *id
        {
            return Err(another_account(id.as_str(), &account.username));
        }
        let refresh = response.refresh_token.clone();
        let refresh = refresh.map(|token| RefreshEntry::new(token, None, response.family.clone()));
        self.connect(account.clone(), &parameters.client_id, refresh).await?;
        let issued = Issued { asked: &asked, response, source: TokenSource::SignIn };
        let token = self.token(issued, account);
        self.remember(Refresh::new(parameters, &token.account).key, token.clone());
        Ok(token)
    }
}

/// A caller that does not answer is not waited for longer than anybody waits for the sign-in.
async fn point_to_browser(request: &InteractiveRequest, abandoned: &mut Abandoned) {
    if let Some(presenter) = &request.presence.presenter {
        let pointing = async {
            presenter.point_to_browser().await;
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
        scopes: parameters.scopes.clone(),
        redirect_uri: parameters.redirect_uri.clone(),
        correlation_id: parameters.correlation_id.clone(),
        presenter: request.presence.presenter.clone(),
    }
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
