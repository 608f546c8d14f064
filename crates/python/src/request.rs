use std::sync::{Arc, OnceLock};

use keybearer_client::background;
use keybearer_core::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tokio::task::AbortHandle;

use crate::arguments::Arguments;
use crate::credential::InteractiveBrowserBrokerCredential;
use crate::errors::{Circumstances, to_python};
use crate::token::Token;

/// One request for a token that nobody blocks for.
#[pyclass(module = "keybearer._native", frozen)]
pub(crate) struct Request {
    credential: Py<InteractiveBrowserBrokerCredential>,
    arguments: Arc<Arguments>,
    scopes: Py<PyTuple>,
    outcome: Arc<OnceLock<Result<Arc<keybearer_core::Token>>>>,
    work: OnceLock<AbortHandle>,
}

#[pymethods]
impl Request {
    /// A request of the method `name`. If the credential still has a token, it is done already.
    #[new]
    fn new(
        credential: Py<InteractiveBrowserBrokerCredential>,
        name: &str,
        scopes: Bound<'_, PyTuple>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let mut arguments = Arguments::new(name, &scopes)?;
        arguments.read_options(options)?;
        let outcome = OnceLock::new();
        if let Some(done) = arguments.cached(credential.get().shared()?).transpose() {
            outcome.get_or_init(|| done);
        }
        Ok(Self {
            credential,
            arguments: Arc::new(arguments),
            scopes: scopes.unbind(),
            outcome: Arc::new(outcome),
            work: OnceLock::new(),
        })
    }

    /// Begins to ask. `wake` is called without arguments, from another thread, when it is done.
    fn start(&self, py: Python<'_>, wake: Py<PyAny>) -> PyResult<()> {
        let credential = self.credential.get().shared()?.clone();
        let (arguments, outcome) = (Arc::clone(&self.arguments), Arc::clone(&self.outcome));
        let runtime = background().map_err(|error| self.exception(py, &error))?;
        let work = runtime.spawn(async move {
            let result = arguments.acquire(&credential).await;
            outcome.get_or_init(|| result);
            // It fails when the program's event loop is gone, and with it whoever waited.
            let _ = Python::try_attach(|py| wake.call0(py));
        });
        self.work.get_or_init(|| work.abort_handle());
        Ok(())
    }

    /// Stops asking; does nothing when it is done.
    fn cancel(&self) {
        if let Some(work) = self.work.get() {
            work.abort();
        }
    }

    /// The token, None as long as it is not done, or the exception it ended with.
    fn result(&self, py: Python<'_>) -> PyResult<Option<Token>> {
        match self.outcome.get() {
            None => Ok(None),
            Some(Ok(token)) => Ok(Some(Token(Arc::clone(token)))),
            Some(Err(error)) => Err(self.exception(py, error)),
        }
    }
}

impl Request {
    fn exception(&self, py: Python<'_>, error: &Error) -> PyErr {
        let circumstances = Circumstances {
            scopes: self.scopes.bind(py),
            claims: self.arguments.claims.as_deref(),
            silent_only: self.credential.get().is_silent_only(),
        };
        to_python(error, &circumstances)
    }
}
