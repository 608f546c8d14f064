use std::sync::{Arc, OnceLock};

use keybearer_client::Credential;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::arguments::Arguments;
use crate::errors::{FailureContext, to_python};
use crate::logging;
use crate::record::AuthenticationRecord;
use crate::shared::Shared;
use crate::string_iterable::StringIterable;
use crate::token::Token;

/// Signs a person in through the operating system's authentication broker.
///
/// A token is had silently if the broker knows the person; otherwise the person is asked, once,
/// for all apps. Nothing is contacted and nobody asked before the first token. Credentials may be
/// shared by threads and used after a fork; waiting for a token does not hold up other threads,
/// and Ctrl-C ends it. A copy has the tokens of the original; a pickle holds the keywords and the
/// attributes, and no token.
///
/// All keywords are optional, and None means the default:
///
/// authority: the authority's host. Default: AZURE_AUTHORITY_HOST, else the public cloud.
/// tenant_id: the directory, a GUID, a domain, "organizations" (default), "common" or "consumers".
/// client_id: the app registration. Default: Microsoft's public client for developer tools.
/// login_hint: the user principal name that is expected to sign in.
/// timeout: seconds one request may take in all, a person's sign-in included. Default 300; zero
///     ends every request that the credential's own cache cannot answer.
/// redirect_uri: a redirect URI of the app registration. Default http://localhost, any port.
/// use_default_broker_account: with several connected accounts, use the one that signed in last
///     instead of asking which.
/// disable_automatic_authentication: raise AuthenticationRequiredError instead of asking a person.
/// disable_interactive_fallback: raise CredentialUnavailableError instead, so that a chain goes on.
/// disable_instance_discovery: trust the authority without asking Microsoft about it, in this
///     process; for private clouds.
/// additionally_allowed_tenants: directories a request may name besides tenant_id; "*" allows any.
/// authentication_record: an earlier sign-in, as azure.identity.AuthenticationRecord; its account
///     is used, its client and authority go before the keywords.
/// parent_window_handle: a window handle, CONSOLE_WINDOW_HANDLE (ours or msal's), or nothing.
///     Brokers on Linux have no use for it.
/// broker: "auto" (default) for the system's broker, or this process where there is none or it lacks
///     something; "required"; "never".
/// enable_msa_passthrough: let personal accounts through to apps for organizations; for a few of
///     Microsoft's own apps.
/// enable_support_logging: name accounts, directories and apps in log lines; never secrets. The lines
///     are those of the logger "keybearer", most of them at level DEBUG.
/// cache_persistence_options, and what transports and pipelines take: accepted and ignored. The
///     broker keeps the tokens.
///
/// Raises ValueError if a value is wrong and TypeError if it is of the wrong type.
#[pyclass(module = "keybearer", subclass, frozen, dict, weakref)]
pub(crate) struct InteractiveBrowserBrokerCredential(OnceLock<Py<Shared>>);

#[pymethods]
impl InteractiveBrowserBrokerCredential {
    /// Subclasses may have an `__init__` of their own, with other arguments. Copies and pickles are
    /// made without it, of what `__getnewargs__` says.
    #[new]
    #[pyo3(signature = (*args, **_keywords))]
    fn new(args: &Bound<'_, PyTuple>, _keywords: Option<&Bound<'_, PyDict>>) -> Self {
        let shared = args.iter().find_map(|argument| argument.cast_into::<Shared>().ok());
        Self(shared.map_or_else(OnceLock::new, |shared| OnceLock::from(shared.unbind())))
    }

    #[pyo3(signature = (**keywords))]
    fn __init__(&self, py: Python<'_>, keywords: Option<Bound<'_, PyDict>>) -> PyResult<()> {
        let shared = Shared::new(keywords.unwrap_or_else(|| PyDict::new(py)))?;
        let again = |_| PyRuntimeError::new_err("__init__ was called twice");
        self.0.set(Py::new(py, shared)?).map_err(again)
    }

    fn __getnewargs__(&self, py: Python<'_>) -> PyResult<(Py<Shared>,)> {
        self.shared().map(|shared| (shared.clone_ref(py),))
    }

    /// The oldest protocols of pickle know nothing of `__getnewargs__`.
    fn __reduce_ex__<'py>(slf: &Bound<'py, Self>, protocol: u8) -> PyResult<Bound<'py, PyAny>> {
        let object = slf.py().get_type::<PyAny>();
        object.call_method1("__reduce_ex__", (slf, protocol.max(2)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.0.get())
    }

    /// A token for the scopes, all of one resource, as azure.core.credentials.AccessToken.
    ///
    /// claims: a claims challenge of a resource, as decoded JSON.
    /// tenant_id: another directory than the credential's own; it must be allowed.
    /// enable_cae: whether the caller handles claims challenges.
    ///
    /// Raises CredentialUnavailableError if there is nobody to ask, AuthenticationRequiredError if
    /// a person would have to be asked and must not be, another ClientAuthenticationError if the
    /// request failed, and ValueError without a scope.
    #[pyo3(signature = (*scopes, claims=None, tenant_id=None, enable_cae=false, **keywords))]
    #[allow(clippy::too_many_arguments, reason = "the signature every Azure credential has")]
    fn get_token<'py>(
        &self,
        scopes: &Bound<'py, PyTuple>,
        claims: Option<String>,
        tenant_id: Option<String>,
        enable_cae: bool,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut arguments = Arguments::new("get_token", scopes)?;
        (arguments.claims, arguments.tenant_id) = (claims, tenant_id);
        arguments.enable_cae = enable_cae;
        if let Some(keywords) = keywords {
            arguments.read_keywords(keywords)?;
        }
        Token(self.wait(scopes, &arguments)?).access_token(scopes.py())
    }

    /// As get_token, with the token's type and the time from which on it is worth renewing, as
    /// azure.core.credentials.AccessTokenInfo.
    ///
    /// options: azure.core.credentials.TokenRequestOptions, the keywords of get_token.
    #[pyo3(signature = (*scopes, options=None))]
    fn get_token_info<'py>(
        &self,
        scopes: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut arguments = Arguments::new("get_token_info", scopes)?;
        if let Some(options) = options {
            arguments.read_options(options)?;
        }
        Token(self.wait(scopes, &arguments)?).access_token_info(scopes.py())
    }

    /// As get_token, with all that is known about the token: whose it is, where it came from, what
    /// was granted.
    #[pyo3(signature = (*scopes, claims=None, tenant_id=None, enable_cae=false))]
    fn acquire(
        &self,
        scopes: &Bound<'_, PyTuple>,
        claims: Option<String>,
        tenant_id: Option<String>,
        enable_cae: bool,
    ) -> PyResult<Token> {
        let mut arguments = Arguments::new("acquire", scopes)?;
        (arguments.claims, arguments.tenant_id) = (claims, tenant_id);
        arguments.enable_cae = enable_cae;
        self.wait(scopes, &arguments).map(Token)
    }

    /// Has a person sign in, or say which connected account to use.
    ///
    /// scopes: what to sign in for, any iterable. Default: Azure Resource Manager of the authority's cloud.
    /// claims, tenant_id, enable_cae: as for get_token.
    ///
    /// Returns an AuthenticationRecord. Raises what get_token raises.
    #[pyo3(signature = (*, scopes=None, claims=None, tenant_id=None, enable_cae=false, **_keywords))]
    #[allow(clippy::too_many_arguments, reason = "keywords")]
    fn authenticate(
        &self,
        py: Python<'_>,
        scopes: Option<StringIterable>,
        claims: Option<String>,
        tenant_id: Option<String>,
        enable_cae: bool,
        _keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<AuthenticationRecord> {
        let scopes = PyTuple::new(py, scopes.unwrap_or_default().0)?;
        let mut arguments = Arguments::of(&scopes)?;
        (arguments.claims, arguments.tenant_id) = (claims, tenant_id);
        arguments.enable_cae = enable_cae;
        let credential = self.credential()?;
        let mut signal = None;
        logging::listen(py);
        let result = py.detach(|| {
            arguments.authenticate_blocking(credential, || {
                signal = Python::attach(poll_interpreter);
                signal.is_some()
            })
        });
        logging::tell(py)?;
        let result = result.map_err(|error| self.raise(&error, &scopes, &arguments, signal));
        result.map(AuthenticationRecord)
    }

    /// There is nothing to close; Azure credentials have this method.
    fn close(&self) {}

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(slf: &Bound<'_, Self>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        slf.call_method0("close").map(drop)
    }
}

/// What a thread of the program does now and then while it waits: hand over log lines, and see
/// whether a signal handler or a log handler ends the wait.
fn poll_interpreter(py: Python<'_>) -> Option<PyErr> {
    py.check_signals().and_then(|()| logging::tell(py)).err()
}

impl InteractiveBrowserBrokerCredential {
    pub(crate) fn credential(&self) -> PyResult<&Credential> {
        self.shared().map(|shared| &shared.get().credential)
    }

    pub(crate) fn is_silent_only(&self) -> bool {
        self.0.get().is_some_and(|shared| shared.get().silent_only)
    }

    fn shared(&self) -> PyResult<&Py<Shared>> {
        let missing = || PyRuntimeError::new_err("super().__init__ was not called");
        self.0.get().ok_or_else(missing)
    }

    /// A cached token at once; else waits without the interpreter, looking after signals.
    fn wait(
        &self,
        scopes: &Bound<'_, PyTuple>,
        arguments: &Arguments,
    ) -> PyResult<Arc<keybearer_core::Token>> {
        let (py, credential) = (scopes.py(), self.credential()?);
        let mut signal = None;
        let result = match arguments.cached(credential) {
            Ok(Some(token)) => return Ok(token),
            Err(error) => Err(error),
            Ok(None) => {
                logging::listen(py);
                py.detach(|| {
                    arguments.acquire_blocking(credential, || {
                        signal = Python::attach(poll_interpreter);
                        signal.is_some()
                    })
                })
            }
        };
        logging::tell(py)?;
        result.map_err(|error| self.raise(&error, scopes, arguments, signal))
    }

    /// What Python sees of a failure: the signal that ended the wait, if one did.
    fn raise(
        &self,
        error: &keybearer_core::Error,
        scopes: &Bound<'_, PyTuple>,
        arguments: &Arguments,
        signal: Option<PyErr>,
    ) -> PyErr {
        let circumstances = FailureContext {
            scopes,
            claims: arguments.claims.as_deref(),
            silent_only: self.is_silent_only(),
        };
        signal.unwrap_or_else(|| to_python(error, &circumstances))
    }
}
