use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::text;

/// The account, authority and app of a sign-in, as returned by ``authenticate``.
///
/// It contains no secret. A program can store it and pass it as ``authentication_record`` to a
/// later credential, which then uses the same account. The JSON format is the one of
/// ``azure.identity.AuthenticationRecord``.
#[pyclass(module = "keybearer", frozen, eq, from_py_object, weakref)]
#[derive(Clone, PartialEq)]
pub(crate) struct AuthenticationRecord(pub(crate) keybearer_client::AuthenticationRecord);

#[pymethods]
impl AuthenticationRecord {
    /// The host of the authority, such as ``login.microsoftonline.com``.
    #[getter]
    fn authority(&self) -> &str {
        self.0.authority.as_str()
    }

    /// The client ID of the app that signed in.
    #[getter]
    fn client_id(&self) -> &str {
        self.0.client_id.as_str()
    }

    /// The account in its home tenant, as ``<object id>.<tenant id>``.
    #[getter]
    fn home_account_id(&self) -> &str {
        self.0.home_account_id.as_str()
    }

    /// The ID of the tenant in which the account signed in.
    #[getter]
    fn tenant_id(&self) -> &str {
        self.0.tenant_id.as_str()
    }

    /// The account's user principal name, such as ``dev@contoso.example``.
    #[getter]
    fn username(&self) -> &str {
        &self.0.username
    }

    /// Return the record as JSON.
    fn serialize(&self) -> String {
        self.0.serialize()
    }

    /// Read a record from JSON that ``serialize`` of this class or of an Azure SDK returned.
    ///
    /// :param data: The record as JSON.
    /// :raises ValueError: The text is not an authentication record.
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
