use std::sync::{Arc, OnceLock};

use keybearer_client::background;
use keybearer_core::{Error, Missing, Result};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tokio::task::AbortHandle;

use crate::arguments::Arguments;
use crate::completion_socket::{CompletionSocket, RawSocket};
use crate::credential::InteractiveBrowserBrokerCredential;
use crate::errors::{FailureContext, to_python};
use crate::logging;
use crate::record::AuthenticationRecord;
use crate::string_iterable::StringIterable;
use crate::token::Token;

/// A request that runs in the background: for a token, or for a person to sign in.
#[pyclass(module = "keybearer._native", frozen)]
pub(crate) struct Request {
    credential: Py<InteractiveBrowserBrokerCredential>,
    arguments: Arc<Arguments>,
    scopes: Py<PyTuple>,
    subject: Subject,
    outcome: Arc<OnceLock<Result<Answer>>>,
    work: OnceLock<AbortHandle>,
}

#[derive(Clone, Copy)]
enum Subject {
    Token,
    SignIn,
}

/// The result of a request that succeeded.
#[derive(Clone, IntoPyObject)]
enum Answer {
    Token(Token),
    SignIn(AuthenticationRecord),
}

#[pymethods]
impl Request {
    /// Make a request for the method `name`. If the credential's cache has a token, it is done.
    #[new]
    fn new(
        credential: Py<InteractiveBrowserBrokerCredential>,
        name: &str,
        scopes: Bound<'_, PyTuple>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let mut arguments = Arguments::new(name, &scopes)?;
        arguments.read_options(options)?;
        let done = arguments.cached(credential.get().credential()?).transpose();
        let request = Self::of(credential, arguments, scopes, Subject::Token);
        if let Some(done) = done {
            request.outcome.get_or_init(|| done.map(|token| Answer::Token(Token(token))));
        }
        Ok(request)
    }

    /// Make a request for the method `authenticate`, with or without scopes.
    #[staticmethod]
    #[pyo3(signature = (credential, scopes, options))]
    fn sign_in(
        credential: Py<InteractiveBrowserBrokerCredential>,
        scopes: Option<StringIterable>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let scopes = PyTuple::new(options.py(), scopes.unwrap_or_default().0)?;
        let mut arguments = Arguments::of(&scopes)?;
        arguments.read_options(options)?;
        Ok(Self::of(credential, arguments, scopes, Subject::SignIn))
    }

    /// Start the request. `socket` reports it as finished under the `id` of this object.
    fn start(slf: &Bound<'_, Self>, socket: &CompletionSocket) -> PyResult<()> {
        let (py, request) = (slf.py(), slf.get());
        let credential = request.credential.get().credential()?.clone();
        logging::read_level(py);
        let (arguments, subject) = (Arc::clone(&request.arguments), request.subject);
        let runtime = background().map_err(|error| request.exception(py, &error))?;
        let work = runtime.spawn(async move {
            match subject {
                Subject::Token => {
                    arguments.acquire(&credential).await.map(|token| Answer::Token(Token(token)))
                }
                Subject::SignIn => arguments
                    .authenticate(&credential)
                    .await
                    .map(|record| Answer::SignIn(AuthenticationRecord(record))),
            }
        });
        request.work.get_or_init(|| work.abort_handle());
        let (outcome, sender) = (Arc::clone(&request.outcome), socket.sender(slf.as_ptr().addr()));
        runtime.spawn(async move {
            let ended = work.await.unwrap_or_else(|ended| {
                Err(Error::internal("the request ended without a result").with_source(ended))
            });
            outcome.get_or_init(|| ended);
            drop(sender);
        });
        Ok(())
    }

    /// Return a descriptor, which the caller must close, that reaches its end of file when a
    /// request of `socket` has finished.
    fn listen(&self, py: Python<'_>, socket: &CompletionSocket) -> PyResult<RawSocket> {
        socket.listen().map_err(|error| {
            let message = "could not open a socket to wait for the broker";
            let error = Error::unavailable(Missing::Broker, message)
                .with_hint("raise this program's limit of open files (`ulimit -n`)")
                .with_source(error);
            self.exception(py, &error)
        })
    }

    /// Cancel the request; does nothing if it has finished.
    fn cancel(&self) {
        if let Some(work) = self.work.get() {
            work.abort();
        }
    }

    /// Return the token or record, or None while the request runs. Raises if the request failed.
    fn result(&self, py: Python<'_>) -> PyResult<Option<Answer>> {
        if self.work.get().is_some() {
            logging::deliver(py)?;
        }
        match self.outcome.get() {
            None => Ok(None),
            Some(Ok(answer)) => Ok(Some(answer.clone())),
            Some(Err(error)) => Err(self.exception(py, error)),
        }
    }
}

impl Request {
    fn of(
        credential: Py<InteractiveBrowserBrokerCredential>,
        arguments: Arguments,
        scopes: Bound<'_, PyTuple>,
        subject: Subject,
    ) -> Self {
        Self {
            credential,
            arguments: Arc::new(arguments),
            scopes: scopes.unbind(),
            subject,
            outcome: Arc::default(),
            work: OnceLock::new(),
        }
    }

    fn exception(&self, py: Python<'_>, error: &Error) -> PyErr {
        let failed = FailureContext {
            scopes: self.scopes.bind(py),
            claims: self.arguments.claims.as_deref(),
            silent_only: self.credential.get().is_silent_only(),
        };
        to_python(error, &failed)
    }
}
