//! The native part of the Python package `keybearer`: maps the shared credential's types and errors
//! to Python's.
//!
//! No wait holds the interpreter, Ctrl-C ends every wait, and nothing of `azure` or `msal` is
//! imported before it is needed. All decisions about tokens are made in `keybearer-client`.

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

/// The native part of `keybearer`; the package re-exports the public names.
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

/// A waiting thread releases the interpreter and enters it again to check for signals. CPython's
/// functions for that (`PyGILState_*`) support the main interpreter only; in a subinterpreter the
/// wait would never end.
fn refuse_subinterpreters(py: Python<'_>) -> PyResult<()> {
    // The module's name since CPython 3.13, and before. Other implementations have neither.
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
        "keybearer cannot be imported in a subinterpreter, only in the main interpreter of a \
         process; for mod_wsgi set `WSGIApplicationGroup %{GLOBAL}`",
    ))
}
