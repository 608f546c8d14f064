use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::text;

/// Who signed in, where and for which app. No secret: keep it to ask for the same account the next
/// time, as the keyword authentication_record. Its JSON is azure.identity's.
#[pyclass(module = "keybearer", frozen, eq, from_py_object, weakref)]
#[derive(Clone, PartialEq)]
pub(crate) struct AuthenticationRecord(pub(crate) keybearer_client::AuthenticationRecord);

#[pymethods]
impl AuthenticationRecord {
    /// The authority's host.
    #[getter]
    fn authority(&self) -> &str {
        self.0.authority.as_str()
    }

    /// The app that asked.
    #[getter]
    fn client_id(&self) -> &str {
        self.0.client_id.as_str()
    }

    /// The account in its home directory: object id, a dot, tenant id.
    #[getter]
    fn home_account_id(&self) -> &str {
        self.0.home_account_id.as_str()
    }

    /// The directory that issued the token.
    #[getter]
    fn tenant_id(&self) -> &str {
        self.0.tenant_id.as_str()
    }

    /// The user principal name.
    #[getter]
    fn username(&self) -> &str {
        &self.0.username
    }

    /// The record as JSON.
    fn serialize(&self) -> String {
        self.0.serialize()
    }

    /// Reads a record that this or an Azure SDK wrote.
    ///
    /// Raises ValueError if the text is none.
    #[staticmethod]
    fn deserialize(data: &str) -> PyResult<Self> {
        let record = keybearer_client::AuthenticationRecord::deserialize(data);
        record.map(Self).map_err(|error| PyValueError::new_err(text(&error)))
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.serialize().hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        Ok((slf.getattr("deserialize")?, (slf.get().serialize(),)))
    }

    fn __repr__(&self) -> String {
        format!(
            "AuthenticationRecord(username={:?}, tenant_id={:?})",
            self.username(),
            self.tenant_id()
        )
    }
}
