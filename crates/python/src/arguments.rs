//! Reads the arguments of one call for a token.

use std::sync::Arc;

use keybearer_client::{AuthenticationRecord, Credential, TokenQuery, signed_request};
use keybearer_core::{ProofOfPossession, Result, Token};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyTuple};

use crate::errors::text as text_of;

/// The arguments of one call. They hold no Python objects, so background threads can use them.
pub(crate) struct Arguments {
    scopes: Vec<String>,
    pub(crate) claims: Option<String>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) enable_cae: bool,
    proof_of_possession: Option<ProofOfPossession>,
}

impl Arguments {
    /// Arguments with only scopes, for the method `name`.
    ///
    /// # Errors
    /// `ValueError` without a scope, as in azure-identity; `TypeError` if a scope is not a `str`.
    pub(crate) fn new(name: &str, scopes: &Bound<'_, PyTuple>) -> PyResult<Self> {
        if scopes.is_empty() {
            return Err(PyValueError::new_err(format!("'{name}' requires at least one scope")));
        }
        Self::of(scopes)
    }

    /// Arguments with only scopes, which may be none.
    ///
    /// # Errors
    /// `TypeError` if a scope is not a `str`.
    pub(crate) fn of(scopes: &Bound<'_, PyTuple>) -> PyResult<Self> {
        Ok(Self {
            scopes: scopes.iter().map(|scope| scope.extract()).collect::<PyResult<_>>()?,
            claims: None,
            tenant_id: None,
            enable_cae: false,
            proof_of_possession: None,
        })
    }

    /// Reads azure-core's `TokenRequestOptions`. Unknown options are ignored.
    ///
    /// # Errors
    /// `TypeError` if a value has a wrong type; those of [`read_keywords`](Self::read_keywords).
    pub(crate) fn read_options(&mut self, options: &Bound<'_, PyDict>) -> PyResult<()> {
        self.claims = text(options, "claims")?;
        self.tenant_id = text(options, "tenant_id")?;
        self.enable_cae = truth(options, "enable_cae")?;
        self.read_keywords(options)
    }

    /// Reads `pop` from the further keywords; all others are ignored.
    ///
    /// # Errors
    /// `ValueError` if `pop` is not supported or incomplete, `TypeError` if a value has a wrong type.
    pub(crate) fn read_keywords(&mut self, keywords: &Bound<'_, PyDict>) -> PyResult<()> {
        self.proof_of_possession = match keywords.get_item("pop")? {
            Some(pop) => proof_of_possession(&pop)?,
            None => None,
        };
        Ok(())
    }

    /// The token in the credential's own cache.
    pub(crate) fn cached(&self, credential: &Credential) -> Result<Option<Arc<Token>>> {
        credential.cached(self.query(&self.scopes()))
    }

    /// Gets a token and blocks this thread meanwhile.
    pub(crate) fn acquire_blocking(
        &self,
        credential: &Credential,
        interrupted: impl FnMut() -> bool,
    ) -> Result<Arc<Token>> {
        credential.acquire_blocking(self.query(&self.scopes()), interrupted)
    }

    /// Lets a person sign in or pick an account and blocks this thread meanwhile.
    pub(crate) fn authenticate_blocking(
        &self,
        credential: &Credential,
        interrupted: impl FnMut() -> bool,
    ) -> Result<AuthenticationRecord> {
        credential.authenticate_blocking(self.query(&self.scopes()), interrupted)
    }

    /// Lets a person sign in or pick an account.
    pub(crate) async fn authenticate(
        &self,
        credential: &Credential,
    ) -> Result<AuthenticationRecord> {
        credential.authenticate(self.query(&self.scopes())).await
    }

    /// Gets a token.
    pub(crate) async fn acquire(&self, credential: &Credential) -> Result<Arc<Token>> {
        credential.acquire(self.query(&self.scopes())).await
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
            proof_of_possession: self.proof_of_possession.as_ref(),
        }
    }
}

fn text(options: &Bound<'_, PyDict>, name: &str) -> PyResult<Option<String>> {
    options.get_item(name)?.map_or(Ok(None), |value| value.extract())
}

/// Reads `pop` of `PopTokenRequestOptions`: false for a bearer token, a mapping for a request to
/// sign. True asks for a token bound to a TLS client certificate, which is not supported.
fn proof_of_possession(pop: &Bound<'_, PyAny>) -> PyResult<Option<ProofOfPossession>> {
    let Ok(request) = pop.cast::<PyMapping>() else {
        if pop.is_truthy()? {
            return Err(PyValueError::new_err(
                "pop=True is not supported: this credential has no TLS certificate to bind tokens \
                 to; pass a mapping with resource_request_method and resource_request_url",
            ));
        }
        return Ok(None);
    };
    let part = |name: &str| -> PyResult<Option<String>> {
        if !request.contains(name)? {
            return Ok(None);
        }
        request.get_item(name)?.extract()
    };
    let required = |name: &str| {
        let missing = || PyValueError::new_err(format!("pop must have the key '{name}'"));
        part(name)?.ok_or_else(missing)
    };
    let (method, url) = (required("resource_request_method")?, required("resource_request_url")?);
    let nonce = part("nonce")?;
    let signed = signed_request(&method, &url, nonce.as_deref());
    signed.map(Some).map_err(|error| PyValueError::new_err(text_of(&error)))
}

fn truth(options: &Bound<'_, PyDict>, name: &str) -> PyResult<bool> {
    options.get_item(name)?.map_or(Ok(false), |value| value.is_truthy())
}
