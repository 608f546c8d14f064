//! The native part of `keybearer.msal_runtime`, the replacement for Microsoft's authentication
//! runtime. Its names are those that MSAL Python calls (`msal/broker.py` and `msal/application.py`,
//! MIT).
//!
//! Every request runs in the background and ends within its limit, with a result or with an
//! [`MsalRuntimeError`]. The background threads never enter the interpreter, because it may be
//! finalizing.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use keybearer_client::{
    BrokerChoice, LocalBroker, LocalBrokerOptions, background, deadline_after, signed_request,
};
use keybearer_core::{
    Account, AccountChoice, AccountsRequest, Authority, Broker, Caller, Claims, ClientId,
    CorrelationId, Error, HomeAccountId, InteractiveRequest, Prompt, ProofOfPossession, Result,
    ScopeSet, SilentRequest, TokenParameters, TokenType, grace,
};
use keybearer_dbus::status::{Status, tag};
use keybearer_host::Environment;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;
use tokio::task::AbortHandle;
use url::Url;

use crate::completion_socket;
use crate::errors::text;
use crate::options::program_directory;
use crate::token::Token;

/// Adds the classes of this file to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<AuthParameters>()?;
    module.add_class::<RuntimeCall>()?;
    module.add_class::<MsalRuntimeError>()?;
    module.add_class::<Runtime>()
}

/// How long finding or starting a broker may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// How long a request without a prompt may take. MSAL passes no limit.
const SILENT_LIMIT: Duration = Duration::from_secs(60);

/// How long a request with a prompt may take: azure-identity's default.
const INTERACTIVE_LIMIT: Duration = Duration::from_secs(300);

/// The broker of this machine, for programs written for Microsoft's runtime. It never signs in from
/// this process: without a broker, MSAL signs in with the browser itself.
#[pyclass(module = "keybearer._native", frozen)]
pub(crate) struct Runtime(Arc<RuntimeState>);

struct RuntimeState {
    broker: LocalBroker,
    signed_out: Mutex<HashSet<(ClientId, HomeAccountId)>>,
}

#[pymethods]
impl Runtime {
    /// Make a runtime with the current environment. Contacts nothing.
    #[new]
    fn new(py: Python<'_>) -> Self {
        let options = LocalBrokerOptions {
            choice: BrokerChoice::Required,
            program_directory: program_directory(py),
            ..LocalBrokerOptions::default()
        };
        let broker = LocalBroker::new(Environment::current(), options);
        Self(Arc::new(RuntimeState { broker, signed_out: Mutex::default() }))
    }

    /// Find the broker or start one; the result is its name.
    fn connect(&self) -> RuntimeCall {
        let state = Arc::clone(&self.0);
        let found = async move {
            let broker = state.broker.connect(CONNECT_LIMIT).await?;
            Ok(Outcome::Broker(broker.name().to_owned()))
        };
        RuntimeCall::new(CONNECT_LIMIT, found)
    }

    /// List the connected accounts; the result is a list of tuples of home account id, local account
    /// id and user name.
    fn accounts(&self, correlation_id: &str) -> RuntimeCall {
        let state = Arc::clone(&self.0);
        let request = AccountsRequest {
            client_id: None,
            correlation_id: CorrelationId::new(correlation_id),
            deadline: deadline_after(SILENT_LIMIT),
        };
        let listed = async move { state.broker.accounts(request).await.map(Outcome::Accounts) };
        RuntimeCall::new(SILENT_LIMIT, listed)
    }

    /// Get a token without a prompt, for this account (a home account id) or for the one that signed
    /// in last; the result is a Token.
    #[pyo3(signature = (parameters, correlation_id, account))]
    fn acquire_silently(
        &self,
        parameters: &AuthParameters,
        correlation_id: &str,
        account: Option<&str>,
    ) -> RuntimeCall {
        let choice = account.map_or(Ok(AccountChoice::Default), exactly);
        let parameters = choice.and_then(|choice| {
            parameters.read(choice, CorrelationId::new(correlation_id), SILENT_LIMIT)
        });
        let state = Arc::clone(&self.0);
        let work = async move { state.silent(parameters?).await };
        RuntimeCall::new(SILENT_LIMIT, work)
    }

    /// Get a token and prompt if necessary; the result is a Token. Without a login hint the person
    /// picks an account, which MSAL requests by `prompt=select_account`.
    #[pyo3(signature = (parameters, correlation_id, login_hint))]
    fn acquire_interactively(
        &self,
        parameters: &AuthParameters,
        correlation_id: &str,
        login_hint: Option<String>,
    ) -> RuntimeCall {
        let login_hint = login_hint.filter(|hint| !hint.is_empty());
        let choice = login_hint.map_or(AccountChoice::Only, AccountChoice::LoginHint);
        let parameters =
            parameters.read(choice, CorrelationId::new(correlation_id), INTERACTIVE_LIMIT);
        let state = Arc::clone(&self.0);
        let work = async move { state.interactive(parameters?).await };
        RuntimeCall::new(INTERACTIVE_LIMIT, work)
    }

    /// Refuse this app tokens of the account, in this process only, until the account signs in again.
    /// Sends no request to the broker, so other programs are not affected.
    fn sign_out(&self, client_id: &str, account: &str) -> Option<MsalRuntimeError> {
        let parsed = ClientId::parse(client_id)
            .and_then(|client_id| Ok((client_id, HomeAccountId::parse(account)?)));
        let signed_out = parsed.map(|pair| self.0.signed_out().insert(pair));
        signed_out.err().map(MsalRuntimeError)
    }
}

impl RuntimeState {
    fn signed_out(&self) -> MutexGuard<'_, HashSet<(ClientId, HomeAccountId)>> {
        self.signed_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn silent(&self, parameters: TokenParameters) -> Result<Outcome> {
        let (client_id, proof) =
            (parameters.client_id.clone(), parameters.proof_of_possession.clone());
        let correlation_id = parameters.correlation_id.clone();
        let check = |account: &HomeAccountId| match self
            .signed_out()
            .contains(&(client_id.clone(), account.clone()))
        {
            false => Ok(()),
            true => {
                let message = "the account is signed out of this program";
                Err(Error::interaction_required(message)
                    .with_correlation_id(correlation_id.clone()))
            }
        };
        if let AccountChoice::Exact(account) = &parameters.account {
            check(account)?;
        }
        let token = self.broker.acquire_silent(SilentRequest { parameters }).await?;
        check(&token.account.home_account_id)?;
        Outcome::token(token, proof.as_ref())
    }

    async fn interactive(&self, parameters: TokenParameters) -> Result<Outcome> {
        let (client_id, proof) =
            (parameters.client_id.clone(), parameters.proof_of_possession.clone());
        let prompt = match parameters.account {
            AccountChoice::Only => Prompt::SelectAccount,
            _ => Prompt::IfNeeded,
        };
        let request = InteractiveRequest::new(parameters, prompt);
        let token = self.broker.acquire_interactive(request).await?;
        self.signed_out().remove(&(client_id, token.account.home_account_id.clone()));
        Outcome::token(token, proof.as_ref())
    }
}

fn exactly(home_account_id: &str) -> Result<AccountChoice> {
    HomeAccountId::parse(home_account_id).map(AccountChoice::Exact)
}

/// The parameters of a token request, as MSAL sets them.
#[pyclass(module = "keybearer.msal_runtime", name = "MSALRuntimeAuthParameters")]
pub(crate) struct AuthParameters {
    client_id: String,
    authority: String,
    scopes: Vec<String>,
    redirect_uri: Option<String>,
    claims: Option<String>,
    request_to_sign: Option<Result<ProofOfPossession>>,
    additional: BTreeMap<String, String>,
}

#[pymethods]
impl AuthParameters {
    #[new]
    fn new(client_id: String, authority: String) -> Self {
        Self {
            client_id,
            authority,
            scopes: Vec::new(),
            redirect_uri: None,
            claims: None,
            request_to_sign: None,
            additional: BTreeMap::new(),
        }
    }

    /// Set the scopes, all of one resource.
    fn set_requested_scopes(&mut self, scopes: &Bound<'_, PyAny>) -> PyResult<()> {
        let scopes = scopes.try_iter()?.map(|scope| scope?.extract());
        self.scopes = scopes.collect::<PyResult<_>>()?;
        Ok(())
    }

    /// Set the redirect URI of the app. MSAL sets the native-client URI; Keybearer's broker replaces
    /// that one by http://localhost.
    fn set_redirect_uri(&mut self, redirect_uri: String) {
        self.redirect_uri = Some(redirect_uri);
    }

    /// Set a claims request with the app's capabilities, as JSON.
    fn set_decoded_claims(&mut self, claims: String) {
        self.claims = Some(claims);
    }

    /// Set the HTTP request to sign with the token. `host` includes the port, if there is one.
    #[pyo3(signature = (http_method, host, path, nonce=None))]
    fn set_pop_params(&mut self, http_method: &str, host: &str, path: &str, nonce: Option<&str>) {
        let path = path.strip_prefix('/').unwrap_or(path);
        let url = format!("https://{host}/{path}");
        self.request_to_sign = Some(signed_request(http_method, &url, nonce));
    }

    /// Set a parameter for the authorization endpoint, or one that MSAL passes to the runtime.
    fn set_additional_parameter(&mut self, key: String, value: String) {
        // A password must not be kept in memory.
        let value = if key == PASSWORD { String::new() } else { value };
        self.additional.insert(key, value);
    }
}

/// MSAL's parameter for the password of a sign-in without a prompt.
const PASSWORD: &str = "MSALRuntime_Password";

impl AuthParameters {
    fn read(
        &self,
        account: AccountChoice,
        correlation_id: CorrelationId,
        limit: Duration,
    ) -> Result<TokenParameters> {
        let claims = self.claims.as_deref().map_or(Ok(None), Claims::parse)?;
        let (claims, capabilities) = claims.map(Claims::split).unwrap_or_default();
        Ok(TokenParameters {
            authority: Authority::parse(&self.authority)?,
            client_id: ClientId::parse(&self.client_id)?,
            redirect_uri: self.redirect_uri.as_deref().map(redirect_uri).transpose()?,
            scopes: ScopeSet::parse_or_sign_in(&self.scopes)?,
            account,
            claims,
            capabilities,
            access_token_to_renew: None,
            proof_of_possession: self.request_to_sign.clone().transpose()?,
            extra_query: self.extra_query()?,
            correlation_id,
            deadline: deadline_after(limit),
            caller: Caller::in_process(),
        })
    }

    /// The additional parameters for the provider. `validateAuthority` is ignored: the broker decides
    /// whether to trust an authority, not the program.
    fn extra_query(&self) -> Result<BTreeMap<String, String>> {
        let refused = |message| Err(Error::invalid_request("additional_parameter", message));
        let mut query = BTreeMap::new();
        for (key, value) in &self.additional {
            match key.as_str() {
                "msal_request_type" => {}
                "validateAuthority" => continue,
                "token_type" if value.eq_ignore_ascii_case("bearer") => continue,
                "token_type" => {
                    return refused(format!("tokens of type {value} are not supported"));
                }
                key if key.starts_with("MSALRuntime_") => {
                    return refused("sign-in by password is not supported".to_owned());
                }
                key if key.starts_with("msal_") => continue,
                _ => {}
            }
            query.insert(key.clone(), value.clone());
        }
        Ok(query)
    }
}

fn redirect_uri(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|error| {
        Error::invalid_request("redirect_uri", "the redirect URI is not a URL").with_source(error)
    })
}

type Work = Pin<Box<dyn Future<Output = Result<Outcome>> + Send>>;

/// One request that runs in the background.
#[pyclass(module = "keybearer._native", frozen)]
pub(crate) struct RuntimeCall {
    work: Mutex<Option<Work>>,
    abort: OnceLock<AbortHandle>,
    outcome: Arc<OnceLock<Result<Outcome>>>,
}

#[pymethods]
impl RuntimeCall {
    /// Start the request. Returns a socket, which the caller must close, that reaches its end of file
    /// when the request has finished.
    fn start(&self) -> PyResult<completion_socket::RawSocket> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let work = work.ok_or_else(|| PyRuntimeError::new_err("start was called twice"))?;
        let runtime = background().map_err(|error| PyRuntimeError::new_err(text(&error)))?;
        let (waker, waiting) = completion_socket::pair()?;
        let work = runtime.spawn(work);
        self.abort.get_or_init(|| work.abort_handle());
        let outcome = Arc::clone(&self.outcome);
        runtime.spawn(async move {
            let ended = work.await.unwrap_or_else(|ended| {
                Err(match ended.is_cancelled() {
                    true => Error::cancelled("the program cancelled the request"),
                    false => {
                        Error::internal("the request ended without a result").with_source(ended)
                    }
                })
            });
            outcome.get_or_init(|| ended);
            drop(waker);
        });
        Ok(waiting)
    }

    /// Cancel the request; does nothing if it has finished.
    fn cancel(&self) {
        if let Some(abort) = self.abort.get() {
            abort.abort();
        }
    }

    /// Return the result, an MSALRuntimeError if the request failed, or None while it runs.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let outcome = self.outcome.get().map(|outcome| match outcome {
            Ok(outcome) => outcome.to_python(py),
            Err(error) => Bound::new(py, MsalRuntimeError(error.clone())).map(Bound::into_any),
        });
        outcome.transpose()
    }
}

impl RuntimeCall {
    fn new(limit: Duration, work: impl Future<Output = Result<Outcome>> + Send + 'static) -> Self {
        let work = Box::pin(async move {
            let ended = tokio::time::timeout(limit + grace::PYTHON, work).await;
            ended.unwrap_or_else(|_| Err(Error::timed_out("timed out waiting for the broker")))
        });
        Self { work: Mutex::new(Some(work)), abort: OnceLock::new(), outcome: Arc::default() }
    }
}

/// The result of a request that succeeded.
enum Outcome {
    Broker(String),
    Accounts(Vec<Account>),
    Token(Arc<keybearer_core::Token>),
}

impl Outcome {
    /// Refuses a bearer token where a signed HTTP request was requested, and the reverse.
    fn token(token: keybearer_core::Token, proof: Option<&ProofOfPossession>) -> Result<Self> {
        match (proof, token.token_type) {
            (None, TokenType::Bearer) | (Some(_), TokenType::ProofOfPossession) => {
                Ok(Self::Token(Arc::new(token)))
            }
            (None, _) => Err(Error::protocol("a bearer token", "one bound to a key")),
            (Some(_), _) => Err(Error::protocol("a signed HTTP request", "a bearer token")),
        }
    }

    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Self::Broker(name) => name.into_pyobject(py)?.into_any(),
            Self::Accounts(accounts) => {
                let accounts = accounts.iter().map(|account| {
                    let id = account.home_account_id.as_str();
                    (id, &account.local_account_id, &account.username)
                });
                PyList::new(py, accounts.collect::<Vec<_>>())?.into_any()
            }
            Self::Token(token) => Bound::new(py, Token(Arc::clone(token)))?.into_any(),
        })
    }
}

/// The error of a failed request, as MSAL reads it.
#[pyclass(module = "keybearer.msal_runtime", name = "MSALRuntimeError", frozen)]
pub(crate) struct MsalRuntimeError(Error);

#[pymethods]
impl MsalRuntimeError {
    /// Return the message with the server's error code, the correlation id and the next step.
    fn get_context(&self) -> String {
        text(&self.0)
    }

    /// Return the Response_Status, which decides how a program reacts.
    fn get_status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let statuses = py.import(MODULE)?.getattr(intern!(py, "Response_Status"))?;
        statuses.getattr(format!("Status_{:?}", Status::of(self.0.kind())))
    }

    /// Return the number of the server's error code (50076 for AADSTS50076), or 0.
    fn get_error_code(&self) -> i64 {
        let code = self.0.context().code.as_deref().unwrap_or_default();
        code.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap_or_default()
    }

    /// Return the kind of the failure as a number, which is the same in every version.
    fn get_tag(&self) -> i64 {
        tag(self.0.kind())
    }

    fn __repr__(&self) -> String {
        format!("<MSALRuntimeError: {}>", text(&self.0))
    }
}

const MODULE: &str = "keybearer.msal_runtime";
