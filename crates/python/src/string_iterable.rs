use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// An iterable of texts. A text is one too, of its letters, but nobody means that.
#[derive(Default)]
pub(crate) struct StringIterable(pub(crate) Vec<String>);

impl<'py> FromPyObject<'_, 'py> for StringIterable {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("one str is no iterable of them; put it into a list"));
        }
        value.try_iter()?.map(|text| text?.extract()).collect::<PyResult<_>>().map(Self)
    }
}
