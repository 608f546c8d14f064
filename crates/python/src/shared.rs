use keybearer_client::Credential;
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::errors::text;
use crate::options;

/// The tokens of a credential, which its copies share, and the keywords it was built from.
///
/// A pickle contains the keywords only, so no token leaves the process (invariant I5).
#[pyclass(module = "keybearer._native", frozen)]
pub(crate) struct Shared {
    keywords: Py<PyDict>,
    pub(crate) credential: Credential,
    pub(crate) silent_only: bool,
}

#[pymethods]
impl Shared {
    #[new]
    pub(crate) fn new(keywords: Bound<'_, PyDict>) -> PyResult<Self> {
        let options = options::read(&keywords)?;
        let silent_only = options.disable_automatic_authentication;
        let credential =
            Credential::new(&options).map_err(|error| PyValueError::new_err(text(&error)))?;
        Ok(Self { keywords: keywords.unbind(), credential, silent_only })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyType>, (Py<PyDict>,)) {
        (slf.get_type(), (slf.get().keywords.clone_ref(slf.py()),))
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.keywords)
    }
}
