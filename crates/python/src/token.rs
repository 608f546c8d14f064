use std::sync::Arc;

use keybearer_core::TokenType;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

/// An access token with its account, scopes and source, as returned by ``acquire``.
#[pyclass(module = "keybearer", frozen)]
#[derive(Clone)]
pub(crate) struct Token(pub(crate) Arc<keybearer_core::Token>);

#[pymethods]
impl Token {
    /// The access token. This is a secret.
    #[getter]
    fn token<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, self.0.access_token.expose())
    }

    /// When the token expires, in seconds since 1970 (UTC).
    #[getter]
    fn expires_on(&self) -> i64 {
        self.0.expires_on.unix_seconds()
    }

    /// When the token should be refreshed, in seconds since 1970 (UTC), or None.
    #[getter]
    fn refresh_on(&self) -> Option<i64> {
        self.0.refresh_on.map(|moment| moment.unix_seconds())
    }

    /// The scheme of the token in an ``Authorization`` header: ``Bearer`` or ``pop``.
    #[getter]
    fn token_type(&self) -> &'static str {
        match self.0.token_type {
            TokenType::Bearer => "Bearer",
            TokenType::ProofOfPossession => "pop",
        }
    }

    /// The scopes that the provider granted. They include all requested scopes.
    #[getter]
    fn scopes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.granted_scopes.iter())
    }

    /// The user principal name of the token's account, such as ``dev@contoso.example``.
    #[getter]
    fn username(&self) -> &str {
        &self.0.account.username
    }

    /// The token's account in its home tenant, as ``<object id>.<tenant id>``.
    #[getter]
    fn home_account_id(&self) -> &str {
        self.0.account.home_account_id.as_str()
    }

    /// The ID of the tenant that issued the token.
    #[getter]
    fn tenant_id(&self) -> &str {
        self.0.account.realm.as_str()
    }

    /// Where the broker got the token from: ``cache``, ``refresh`` or ``sign-in``.
    #[getter]
    fn source(&self) -> &'static str {
        self.0.source.as_str()
    }

    /// The ID token that was issued with the token, as a JWT, or None. This is a secret.
    #[getter]
    #[pyo3(name = "_id_token")]
    fn id_token<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.0.id_token.as_ref().map(|token| PyString::new(py, token.expose()))
    }

    /// The token as `AccessToken`: azure-core's class if it is installed.
    #[pyo3(name = "_access_token")]
    pub(crate) fn access_token<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let class = CLASS.import(py, MODULE, "AccessToken")?;
        class.call1((self.token(py), self.expires_on()))
    }

    /// The token as `AccessTokenInfo`: azure-core's class if that is 1.31 or newer.
    #[pyo3(name = "_access_token_info")]
    pub(crate) fn access_token_info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let class = CLASS.import(py, MODULE, "AccessTokenInfo")?;
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "token_type"), self.token_type())?;
        keywords.set_item(intern!(py, "refresh_on"), self.refresh_on())?;
        class.call((self.token(py), self.expires_on()), Some(&keywords))
    }

    fn __repr__(&self) -> String {
        format!(
            "<keybearer.Token for {} at {}, expires_on={}, source={}>",
            self.username(),
            self.0.granted_scopes.resource(),
            self.expires_on(),
            self.source(),
        )
    }
}

const MODULE: &str = "keybearer._tokens";
