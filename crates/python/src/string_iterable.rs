use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// An iterable of `str`. A single `str`, which Python iterates by characters, is refused.
#[derive(Default)]
pub(crate) struct StringIterable(pub(crate) Vec<String>);

impl<'py> FromPyObject<'_, 'py> for StringIterable {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() {
            let message = "expected an iterable of str, not a single str; put it into a list";
            return Err(PyTypeError::new_err(message));
        }
        value.try_iter()?.map(|text| text?.extract()).collect::<PyResult<_>>().map(Self)
    }
}
