//! The Python package `keybearer`: types and errors of the shared credential mapped to Python's.
//!
//! This crate promises that no wait holds the interpreter, that Ctrl-C ends every wait, and that
//! nothing of `azure` or `msal` is imported before it is needed. It decides nothing about tokens:
//! `keybearer-client` does.

mod arguments;
mod credential;
mod errors;
mod logging;
mod options;
mod record;
mod request;
#[cfg(target_os = "linux")]
mod runtime;
mod token;
mod wake;

use pyo3::prelude::*;

/// The native part of `keybearer`; the package re-exports what is public.
#[pymodule]
#[pyo3(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<credential::InteractiveBrowserBrokerCredential>()?;
    module.add_class::<record::AuthenticationRecord>()?;
    module.add_class::<request::Request>()?;
    module.add_class::<token::Token>()?;
    #[cfg(target_os = "linux")]
    runtime::register(module)?;
    module.add("ERROR_KINDS", errors::KINDS.map(|kind| kind.name()))?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
