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

/// Gets tokens through the operating system's authentication broker.
///
/// Returns a token without prompting if the broker already has the account. Otherwise a browser or
/// the system's dialog asks the person to sign in, once for all programs. The constructor neither
/// contacts the broker nor prompts.
///
/// A credential can be shared by threads and used after a fork. While one thread waits for a token,
/// other threads run, and Ctrl-C ends the wait. A copy shares the tokens of the original. A pickle
/// contains the keywords and the attributes, but no token.
///
/// All keywords are optional; None means the default.
///
/// :keyword str authority: Host of the Microsoft Entra authority, with or without ``https://``.
///     Default: the environment variable ``AZURE_AUTHORITY_HOST``, else
///     ``login.microsoftonline.com``.
/// :keyword str tenant_id: Tenant to sign in to: a GUID, a domain name, ``organizations`` (the
///     default), ``common`` or ``consumers``.
/// :keyword str client_id: Client ID of the app registration. Default: Microsoft's public client
///     for developer tools.
/// :keyword str login_hint: User principal name of the account to use. No other account is used without
///     a prompt; at a prompt, the person may pick another one.
/// :keyword float timeout: Seconds that one request may take in all, including a sign-in. Default:
///     300. With 0, every request times out that the credential's own cache cannot answer.
/// :keyword str redirect_uri: Redirect URI of the app registration. Default: ``http://localhost``
///     on any free port.
/// :keyword bool use_default_broker_account: If several accounts are connected, use the one that
///     signed in last instead of showing an account picker. Default: False.
/// :keyword bool disable_automatic_authentication: Raise ``AuthenticationRequiredError`` instead of
///     prompting; the program calls ``authenticate`` to prompt. Default: False.
/// :keyword bool disable_interactive_fallback: Raise ``CredentialUnavailableError`` instead of
///     prompting, so that a chain tries its next credential. Default: False.
/// :keyword bool disable_instance_discovery: Trust the authority without asking Microsoft whether
///     it exists, for private clouds. This affects only requests that this process sends itself.
///     Default: False.
/// :keyword additionally_allowed_tenants: Iterable of tenants that ``tenant_id`` of a method may
///     name besides the credential's own. ``"*"`` allows any. Default: none.
/// :keyword authentication_record: An ``AuthenticationRecord``, Keybearer's or azure-identity's.
///     Its account is used, and its client ID and authority take precedence over the keywords.
/// :keyword parent_window_handle: Handle of the window to which the sign-in dialog belongs on
///     Windows, or ``CONSOLE_WINDOW_HANDLE``. Default: chosen automatically. Ignored on Linux.
/// :keyword str broker: ``"auto"`` (the default) asks the broker and signs in from this process if
///     there is no broker or it cannot serve the request. ``"required"`` raises instead.
///     ``"never"`` always signs in from this process.
/// :keyword bool enable_msa_passthrough: Accept personal Microsoft accounts for an app of an
///     organization. Supported only for some of Microsoft's own apps. Default: False.
/// :keyword bool enable_support_logging: Include names of accounts, tenants and apps in the lines
///     of the logger ``keybearer``. Secrets are never logged. Default: False.
/// :keyword cache_persistence_options: Ignored, because the broker keeps the tokens. Keywords of
///     azure-core's transports and pipelines are ignored too.
/// :raises ValueError: A keyword has an invalid value.
/// :raises TypeError: A keyword has a wrong type.
#[pyclass(module = "keybearer", subclass, frozen, dict, weakref)]
pub(crate) struct InteractiveBrowserBrokerCredential(OnceLock<Py<Shared>>);

#[pymethods]
impl InteractiveBrowserBrokerCredential {
    /// Accepts any arguments, because the `__init__` of a subclass may have other ones. Copies and
    /// pickles are restored without `__init__`, from the arguments that `__getnewargs__` returned.
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

    /// The protocols 0 and 1 of pickle do not call `__getnewargs__`.
    fn __reduce_ex__<'py>(slf: &Bound<'py, Self>, protocol: u8) -> PyResult<Bound<'py, PyAny>> {
        let object = slf.py().get_type::<PyAny>();
        object.call_method1("__reduce_ex__", (slf, protocol.max(2)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.0.get())
    }

    /// Get an access token for the scopes; Azure clients call this method.
    ///
    /// :param str scopes: One or more scopes of one resource, such as
    ///     ``"https://storage.azure.com/.default"``.
    /// :keyword str claims: Claims challenge that a resource returned, as decoded JSON.
    /// :keyword str tenant_id: Tenant to use instead of the credential's own. It must be one of
    ///     ``additionally_allowed_tenants``.
    /// :keyword bool enable_cae: Whether the caller handles claims challenges (continuous access
    ///     evaluation). Default: False.
    /// :returns: The token, with its expiry in seconds since 1970.
    /// :rtype: ~azure.core.credentials.AccessToken
    /// :raises CredentialUnavailableError: No broker, network or way to prompt is available, or
    ///     ``disable_interactive_fallback`` forbids the prompt that is needed.
    /// :raises AuthenticationRequiredError: Sign-in is required, but
    ///     ``disable_automatic_authentication`` forbids the prompt.
    /// :raises AuthenticationError: The request failed, was cancelled or timed out; its ``kind``
    ///     is the reason. It is a ``ClientAuthenticationError`` of azure-core.
    /// :raises ValueError: No scope was given.
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

    /// Get an access token with its type and refresh time; newer Azure clients call this method.
    ///
    /// :param str scopes: One or more scopes of one resource.
    /// :keyword options: ``claims``, ``tenant_id`` and ``enable_cae`` as for ``get_token``, and
    ///     ``pop`` as in ``PopTokenRequestOptions``. Other options are ignored.
    /// :paramtype options: ~azure.core.credentials.TokenRequestOptions
    /// :returns: The token, with its expiry and refresh time in seconds since 1970.
    /// :rtype: ~azure.core.credentials.AccessTokenInfo
    /// :raises: The exceptions of ``get_token``, and ValueError if ``pop`` is not supported.
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

    /// Get an access token with its account, granted scopes and source.
    ///
    /// :param str scopes: One or more scopes of one resource.
    /// :keyword str claims: As for ``get_token``.
    /// :keyword str tenant_id: As for ``get_token``.
    /// :keyword bool enable_cae: As for ``get_token``.
    /// :returns: The token.
    /// :rtype: ~keybearer.Token
    /// :raises: The exceptions of ``get_token``.
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

    /// Prompt a person to sign in or to pick a connected account.
    ///
    /// :keyword scopes: Iterable of scopes of one resource. Default: Azure Resource Manager of the
    ///     authority's cloud.
    /// :keyword str claims: As for ``get_token``, such as ``claims`` of an
    ///     ``AuthenticationRequiredError``.
    /// :keyword str tenant_id: As for ``get_token``.
    /// :keyword bool enable_cae: As for ``get_token``.
    /// :returns: The account that signed in.
    /// :rtype: ~keybearer.AuthenticationRecord
    /// :raises: The exceptions of ``get_token``.
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
        logging::read_level(py);
        let result = py.detach(|| {
            arguments.authenticate_blocking(credential, || {
                signal = Python::attach(poll_interpreter);
                signal.is_some()
            })
        });
        logging::deliver(py)?;
        let result = result.map_err(|error| self.raise(&error, &scopes, &arguments, signal));
        result.map(AuthenticationRecord)
    }

    /// Do nothing. Azure credentials have this method; this one holds nothing to close.
    fn close(&self) {}

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(slf: &Bound<'_, Self>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        slf.call_method0("close").map(drop)
    }
}

/// Runs signal handlers and delivers log lines; a waiting thread calls this every 50 ms. Returns
/// the exception of a handler, which ends the wait.
fn poll_interpreter(py: Python<'_>) -> Option<PyErr> {
    py.check_signals().and_then(|()| logging::deliver(py)).err()
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

    /// Returns a cached token at once; otherwise releases the interpreter while it waits for one.
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
                logging::read_level(py);
                py.detach(|| {
                    arguments.acquire_blocking(credential, || {
                        signal = Python::attach(poll_interpreter);
                        signal.is_some()
                    })
                })
            }
        };
        logging::deliver(py)?;
        result.map_err(|error| self.raise(&error, scopes, arguments, signal))
    }

    /// The exception of a failed call: the one that ended the wait, or else one for `error`.
    fn raise(
        &self,
        error: &keybearer_core::Error,
        scopes: &Bound<'_, PyTuple>,
        arguments: &Arguments,
        signal: Option<PyErr>,
    ) -> PyErr {
        let failed = FailureContext {
            scopes,
            claims: arguments.claims.as_deref(),
            silent_only: self.is_silent_only(),
        };
        signal.unwrap_or_else(|| to_python(error, &failed))
    }
}
