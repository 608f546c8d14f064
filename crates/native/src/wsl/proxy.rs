use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{
    AZURE_DEVELOPER_APP, Account, AccountChoice, AccountsRequest, Broker, CancelRequest,
    Cancellable, ClientId, CorrelationId, Error, ErrorKind, InteractiveRequest, PendingRequests,
    RemoveAccountRequest, Result, SilentRequest, Tenant, Token, TokenParameters,
};
use keybearer_dbus::message::windows_proxy::{
    self as messages, ListedAccount, PROTOCOL_VERSION, SIGN_OUT,
};
use keybearer_dbus::message::{
    AcquireTokenInteractively, AcquireTokenSilently, CancelInteractiveFlow, Cancellation,
    GetAccounts, Method, RemoveAccount,
};
use keybearer_engine::Random;
use keybearer_host::SystemRandom;
use tokio::time::timeout;

use super::fault::{failed, no_reply, with_next_step};
use super::process;
use crate::Checked;
use crate::limit::now;

/// The Windows broker, as a program that is run once for each call. Cloning shares what is known of
/// its accounts.
#[derive(Clone, Debug)]
pub struct ProxyBroker(Arc<ProxyState>);

#[derive(Debug)]
struct ProxyState {
    program: PathBuf,
    pending: PendingRequests,
    /// The accounts as Windows listed them to each app, because it wants them back untouched.
    known: Mutex<BTreeMap<ClientId, Vec<ListedAccount>>>,
}

/// One run of the program.
struct Run<'a> {
    method: &'static str,
    correlation_id: &'a CorrelationId,
    /// The app, for errors that are about its registration.
    client_id: &'a ClientId,
    request: String,
}

impl Run<'_> {
    fn arguments(&self) -> [&str; 8] {
        [
            "--method",
            self.method,
            "--bversion",
            PROTOCOL_VERSION,
            "--cid",
            self.correlation_id.as_str(),
            "--requestJson",
            &self.request,
        ]
    }
}

/// Windows takes command lines of fewer than 32,768 characters; the other arguments are short.
const LONGEST_REQUEST: usize = 32_000;

/// How long the proxy may take to end a flow that was given up.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);

impl ProxyBroker {
    /// The broker behind this program. Nothing is started yet.
    #[must_use]
    pub fn new(program: PathBuf) -> Checked<Self> {
        let (pending, known) = (PendingRequests::default(), Mutex::default());
        Checked::new(Self(Arc::new(ProxyState { program, pending, known })))
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.0.program
    }

    /// Runs the program and reads its reply.
    async fn run<T>(&self, run: Run<'_>, read: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let outcome = match self.exchange(&run).await {
            Err(error) => Err(error),
            Ok(reply) => read(&reply).map_err(|error| {
                with_next_step(error, messages::fault(&reply), Some(run.client_id))
            }),
        };
        outcome.map_err(|error| error.with_correlation_id(run.correlation_id.clone()))
    }

    async fn exchange(&self, run: &Run<'_>) -> Result<String> {
        let Run { method, correlation_id, request, .. } = run;
        // A quotation mark takes two characters on a Windows command line.
        let length = request.encode_utf16().count() + request.matches(['"', '\\']).count();
        if length > LONGEST_REQUEST {
            let message = "the request does not fit on a command line of Windows";
            return Err(Error::invalid_request("request", message)
                .with_hint("ask for fewer scopes and claims at a time"));
        }
        tracing::debug!(method, %correlation_id, "running the proxy to the Windows broker");
        let output = process::run(&self.0.program, &run.arguments()).await.map_err(failed)?;
        let text = process::clean(&output.stdout);
        match text.as_deref().map(reply_in) {
            // It exits with 0 for every answer, so the exit code means little beside an answer.
            Some(reply) if !reply.is_empty() => Ok(reply.to_owned()),
            Some(_) => Err(no_reply(&output)),
            None => Err(Error::protocol("a JSON object as the broker's reply", "no text")),
        }
    }

    async fn list(
        &self,
        client_id: &ClientId,
        correlation_id: &CorrelationId,
    ) -> Result<Vec<ListedAccount>> {
        let request = messages::accounts_request(client_id);
        let run = Run { method: GetAccounts::NAME, correlation_id, client_id, request };
        let listed = self.run(run, messages::read_accounts).await?;
        self.known().insert(client_id.clone(), listed.clone());
        Ok(listed)
    }

    /// The account a silent request is for; `None` leaves the choice to Windows. No other account
    /// replaces one that is missing (promise I8).
    async fn choose(&self, parameters: &TokenParameters) -> Result<Option<ListedAccount>> {
        if parameters.account == AccountChoice::Default {
            return Ok(None);
        }
        if let AccountChoice::Exact(_) = &parameters.account
            && let Some(known) = self.known_account(parameters)
        {
            return Ok(Some(known));
        }
        let TokenParameters { client_id, correlation_id, .. } = parameters;
        let listed = self.list(client_id, correlation_id).await?;
        let chosen = pick(&listed, parameters).cloned();
        chosen.map(Some).ok_or_else(|| {
            let message = match (&parameters.account, listed.is_empty()) {
                (_, true) => "no account is connected in Windows",
                (AccountChoice::Only, false) => "several accounts are connected in Windows",
                _ => "the account that was asked for is not connected in Windows",
            };
            Error::interaction_required(message)
        })
    }

    fn known_account(&self, parameters: &TokenParameters) -> Option<ListedAccount> {
        pick(self.known().get(&parameters.client_id)?, parameters).cloned()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ClientId, Vec<ListedAccount>>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account that is expected to sign in, if Windows knows it.
    async fn expected(&self, parameters: &TokenParameters) -> Result<Option<ListedAccount>> {
        match self.choose(parameters).await {
            Ok(account) => Ok(account),
            Err(error) => match error.kind() {
                ErrorKind::Unavailable(_) => Err(error),
                // A sign-in may work where listing fails.
                _ => Ok(None),
            },
        }
    }

    /// Asks Windows to sign the person in.
    async fn sign_in(&self, request: &InteractiveRequest) -> Result<Token> {
        let parameters = &request.parameters;
        let account = match parameters.account {
            AccountChoice::Exact(_) | AccountChoice::LoginHint(_) => {
                self.expected(parameters).await?
            }
            AccountChoice::Only | AccountChoice::Default => None,
        };
        let hint = match &parameters.account {
            AccountChoice::LoginHint(username) => Some(username.as_str()),
            _ => None,
        };
        let prompt = Some(request.prompt);
        let json = messages::token_request(parameters, account.as_ref(), hint, prompt);
        let run = token_run(AcquireTokenInteractively::NAME, parameters, json);
        self.run(run, |reply| AcquireTokenInteractively::decode_reply(reply, request)).await
    }

    async fn send_cancel(&self, parameters: &TokenParameters) {
        let run = cancel_run(parameters);
        let read = |reply: &str| CancelInteractiveFlow::decode_reply(reply, &Cancellation::All);
        match timeout(CANCEL_LIMIT, self.run(run, read)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "could not cancel the Windows sign-in"),
            Err(_) => tracing::debug!("the Windows broker did not answer the cancellation"),
        }
    }
}

/// A sign-in that may outlive this process. If it is dropped with the runtime, it still sends Windows
/// the cancellation.
struct Unfinished<'a> {
    proxy: &'a ProxyBroker,
    parameters: &'a TokenParameters,
    finished: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let run = cancel_run(self.parameters);
            process::start_and_leave(&self.proxy.0.program, &run.arguments());
        }
    }
}

fn cancel_run(parameters: &TokenParameters) -> Run<'_> {
    let json = CancelInteractiveFlow::encode_request(&Cancellation::All, now());
    token_run(CancelInteractiveFlow::NAME, parameters, json)
}

fn token_run<'a>(
    method: &'static str,
    parameters: &'a TokenParameters,
    request: String,
) -> Run<'a> {
    let TokenParameters { correlation_id, client_id, .. } = parameters;
    Run { method, correlation_id, client_id, request }
}

/// The object in a reply: a runtime of Microsoft's is known to have written lines before it.
fn reply_in(text: &str) -> &str {
    let after_noise = text.find("\n{").map(|line_end| &text[line_end + 1..]);
    if text.starts_with('{') { text } else { after_noise.unwrap_or(text) }
}

/// The listed account that is meant. One person's account is listed once for each directory it is
/// in; the view from the request's own is the better one.
fn pick<'a>(
    listed: &'a [ListedAccount],
    parameters: &TokenParameters,
) -> Option<&'a ListedAccount> {
    let choice = &parameters.account;
    let allowed = || listed.iter().filter(|listed| choice.allows(listed.account()));
    let first = allowed().next()?;
    let same =
        |other: &&ListedAccount| other.account().home_account_id == first.account().home_account_id;
    if !matches!(choice, AccountChoice::Exact(_)) && !allowed().all(|other| same(&other)) {
        return None;
    }
    let Tenant::Id(tenant) = &parameters.authority.tenant() else { return Some(first) };
    allowed().find(|other| other.account().realm == *tenant).or(Some(first))
}

fn with_correlation_id(parameters: TokenParameters) -> TokenParameters {
    TokenParameters { correlation_id: named(parameters.correlation_id), ..parameters }
}

/// The proxy wants one; callers may have none.
fn named(id: CorrelationId) -> CorrelationId {
    if !id.is_empty() {
        return id;
    }
    let mut random = [0; 16];
    SystemRandom.fill(&mut random);
    CorrelationId::from_random(random)
}

fn developer_app() -> Result<ClientId> {
    ClientId::parse(AZURE_DEVELOPER_APP)
}

#[async_trait]
impl Broker for ProxyBroker {
    fn name(&self) -> &str {
        "Windows broker"
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        let client_id = request.client_id.map_or_else(developer_app, Ok)?;
        let listed = self.list(&client_id, &named(request.correlation_id)).await?;
        Ok(listed.iter().map(|listed| listed.account().clone()).collect())
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        let request = SilentRequest { parameters: with_correlation_id(request.parameters) };
        let parameters = &request.parameters;
        let account = self.choose(parameters).await?;
        let json = messages::token_request(parameters, account.as_ref(), None, None);
        let run = token_run(AcquireTokenSilently::NAME, parameters, json);
        self.run(run, |reply| AcquireTokenSilently::decode_reply(reply, &request)).await
    }

    /// The sign-in is a task that outlives the request a little, so that Windows gets the
    /// cancellation.
    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        let parameters = with_correlation_id(request.parameters);
        let pending = self.0.pending.register(&parameters.caller.id);
        let given_up = CancelOnDrop(pending.cancellable());
        let (proxy, request) = (self.clone(), InteractiveRequest { parameters, ..request });
        let working = tokio::spawn(async move {
            let parameters = &request.parameters;
            let mut unfinished = Unfinished { proxy: &proxy, parameters, finished: false };
            let mut signing_in = std::pin::pin!(proxy.sign_in(&request));
            let outcome = tokio::select! {
                outcome = &mut signing_in => outcome,
                () = pending.cancelled() => {
                    let sent = proxy.send_cancel(parameters);
                    let (_, _) = tokio::join!(sent, timeout(CANCEL_LIMIT, signing_in));
                    Err(sign_in_cancelled())
                }
            };
            unfinished.finished = true;
            outcome
        });
        tokio::select! {
            outcome = working => outcome.unwrap_or_else(|error| {
                Err(Error::internal("the sign-in ended without a result").with_source(error))
            }),
            () = given_up.0.cancelled() => Err(sign_in_cancelled()),
        }
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let client_id = &developer_app()?;
        let correlation_id = &named(request.correlation_id.clone());
        let listed = self.list(client_id, correlation_id).await?;
        let meant =
            |listed: &&ListedAccount| listed.account().home_account_id == request.home_account_id;
        let account = listed.iter().find(meant).ok_or_else(|| {
            Error::invalid_request("account", "that account is not connected in Windows")
        })?;
        let json = messages::sign_out_request(client_id, account);
        let run = Run { method: SIGN_OUT, correlation_id, client_id, request: json };
        self.known().clear();
        self.run(run, |reply| RemoveAccount::decode_reply(reply, &request)).await
    }

    /// Returns once the sign-ins have ended, so that a later one finds the desktop free.
    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        let caller = &request.caller.id;
        self.0.pending.cancel(caller);
        self.0.pending.ended(caller).await;
        Ok(())
    }
}

/// A request that its caller waits for: if the caller leaves, it is cancelled.
struct CancelOnDrop(Cancellable);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn sign_in_cancelled() -> Error {
    Error::cancelled("the sign-in was cancelled")
}
