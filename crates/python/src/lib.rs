//! The Python package `keybearer`: types and errors of the shared credential mapped to Python's.
//!
//! This crate promises that no wait holds the interpreter, that Ctrl-C ends every wait, and that
//! nothing of `azure` or `msal` is imported before it is needed. It decides nothing about tokens:
//! `keybearer-client` does.

mod arguments;
mod completion_socket;
mod credential;
mod errors;
mod logging;
mod options;
mod record;
mod request;
#[cfg(target_os = "linux")]
mod runtime;
mod shared;
mod string_iterable;
mod token;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The native part of `keybearer`; the package re-exports what is public.
#[pymodule]
#[pyo3(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_subinterpreters(module.py())?;
    module.add_class::<credential::InteractiveBrowserBrokerCredential>()?;
    module.add_class::<record::AuthenticationRecord>()?;
    module.add_class::<request::Request>()?;
    module.add_class::<shared::Shared>()?;
    module.add_class::<token::Token>()?;
    module.add_class::<completion_socket::CompletionSocket>()?;
    #[cfg(target_os = "linux")]
    runtime::register(module)?;
    module.add("ERROR_KINDS", errors::KINDS.map(|kind| kind.name()))?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}

/// A thread that waits leaves the interpreter and comes back for signals. CPython's functions for
/// that (`PyGILState_*`) know the main interpreter only: in another one the wait would never end.
fn refuse_subinterpreters(py: Python<'_>) -> PyResult<()> {
    // The name since CPython 3.13, and before. Other implementations have neither.
    let names = ["_interpreters", "_xxsubinterpreters"];
    let Some(interpreters) = names.iter().find_map(|name| py.import(*name).ok()) else {
        return Ok(());
    };
    let (current, main) =
        (interpreters.call_method0("get_current")?, interpreters.call_method0("get_main")?);
    if current.eq(main)? {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "keybearer works in the main interpreter of a process, and this is a subinterpreter; \
         mod_wsgi uses the main one after `WSGIApplicationGroup %{GLOBAL}`",
    ))
}
