//! What one call asks for, taken out of Python's arguments.

use std::sync::Arc;

use keybearer_client::{Credential, TokenQuery};
use keybearer_core::{Error, Result, Token};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// The arguments of one call, independent of the interpreter.
pub(crate) struct Arguments {
    scopes: Vec<String>,
    pub(crate) claims: Option<String>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) enable_cae: bool,
    proof_of_possession: bool,
}

impl Arguments {
    /// Arguments with nothing but scopes, of the method `name`.
    ///
    /// # Errors
    /// `ValueError` without a scope, as azure-identity; `TypeError` if one is not text.
    pub(crate) fn new(name: &str, scopes: &Bound<'_, PyTuple>) -> PyResult<Self> {
        if scopes.is_empty() {
            return Err(PyValueError::new_err(format!("'{name}' requires at least one scope")));
        }
        Ok(Self {
            scopes: scopes.iter().map(|scope| scope.extract()).collect::<PyResult<_>>()?,
            claims: None,
            tenant_id: None,
            enable_cae: false,
            proof_of_possession: false,
        })
    }

    /// Reads azure-core's `TokenRequestOptions`. Options nobody knows are ignored.
    ///
    /// # Errors
    /// `TypeError` if a value is not of its type.
    pub(crate) fn read_options(&mut self, options: &Bound<'_, PyDict>) -> PyResult<()> {
        self.claims = text(options, "claims")?;
        self.tenant_id = text(options, "tenant_id")?;
        self.enable_cae = truth(options, "enable_cae")?;
        self.read_keywords(options)
    }

    /// Reads what was given besides the named arguments; almost all of it is ignored.
    ///
    /// # Errors
    /// Whatever Python raises for a value without a truth.
    pub(crate) fn read_keywords(&mut self, keywords: &Bound<'_, PyDict>) -> PyResult<()> {
        self.proof_of_possession = truth(keywords, "pop")?;
        Ok(())
    }

    /// The token the credential still has.
    pub(crate) fn cached(&self, credential: &Credential) -> Result<Option<Arc<Token>>> {
        self.check()?;
        credential.cached(self.query(&self.scopes()))
    }

    /// Waits for a token in this thread.
    pub(crate) fn acquire_blocking(
        &self,
        credential: &Credential,
        interrupted: impl FnMut() -> bool,
    ) -> Result<Arc<Token>> {
        credential.acquire_blocking(self.query(&self.scopes()), interrupted)
    }

    /// Waits for a token.
    pub(crate) async fn acquire(&self, credential: &Credential) -> Result<Arc<Token>> {
        credential.acquire(self.query(&self.scopes())).await
    }

    /// A token for whoever holds it is no answer to somebody who asked for a bound one.
    fn check(&self) -> Result<()> {
        if self.proof_of_possession {
            return Err(Error::invalid_request(
                "pop",
                "proof-of-possession tokens cannot be had from this credential",
            ));
        }
        Ok(())
    }

    fn scopes(&self) -> Vec<&str> {
        self.scopes.iter().map(String::as_str).collect()
    }

    fn query<'a>(&'a self, scopes: &'a [&'a str]) -> TokenQuery<'a> {
        TokenQuery {
            scopes,
            tenant_id: self.tenant_id.as_deref(),
            claims: self.claims.as_deref(),
            enable_cae: self.enable_cae,
            ..TokenQuery::default()
        }
    }
}

fn text(options: &Bound<'_, PyDict>, name: &str) -> PyResult<Option<String>> {
    options.get_item(name)?.map_or(Ok(None), |value| value.extract())
}

fn truth(options: &Bound<'_, PyDict>, name: &str) -> PyResult<bool> {
    options.get_item(name)?.map_or(Ok(false), |value| value.is_truthy())
}
