//! Reads the credential's keywords, which have the names that azure-identity-broker uses.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use keybearer_client::{BrokerChoice, CredentialOptions, ParentWindow, WindowHandle};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::string_iterable::StringIterable;

/// A longer timeout is reduced to this one, so that deadlines cannot overflow.
const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads the keywords. Keywords without a meaning here are ignored: those of transports and
/// pipelines, and `cache_persistence_options`, because the broker keeps the tokens.
///
/// # Errors
/// `TypeError` or `ValueError` with the name of the keyword.
pub(crate) fn read(keywords: &Bound<'_, PyDict>) -> PyResult<CredentialOptions> {
    let program_directory = program_directory(keywords.py());
    let keywords = Keywords(keywords);
    let mut options = CredentialOptions {
        program_directory,
        authority: keywords.value("authority")?,
        tenant_id: keywords.value("tenant_id")?.map(tenant_id).transpose()?,
        additionally_allowed_tenants: keywords
            .value::<StringIterable>("additionally_allowed_tenants")?
            .unwrap_or_default()
            .0,
        client_id: keywords.value("client_id")?,
        login_hint: keywords.value("login_hint")?,
        redirect_uri: keywords.value("redirect_uri")?.map(redirect_uri).transpose()?,
        use_default_broker_account: keywords.flag("use_default_broker_account")?,
        disable_automatic_authentication: keywords.flag("disable_automatic_authentication")?,
        disable_interactive_fallback: keywords.flag("disable_interactive_fallback")?,
        enable_msa_passthrough: keywords.flag("enable_msa_passthrough")?,
        enable_support_logging: keywords.flag("enable_support_logging")?,
        parent_window: parent_window(keywords.value("parent_window_handle")?),
        disable_instance_discovery: keywords.flag("disable_instance_discovery")?,
        broker: keywords
            .value::<String>("broker")?
            .map_or(Ok(BrokerChoice::Auto), |word| broker(&word))?,
        timeout: keywords.value("timeout")?.map(seconds).transpose()?,
        ..CredentialOptions::default()
    };
    if let Some(record) = keywords.value::<Bound<'_, PyAny>>("authentication_record")? {
        read_record(&record, &mut options)?;
    }
    Ok(options)
}

/// The directory in which pip installs programs together with this package: `PREFIX/bin` for
/// `PREFIX/lib/pythonX.Y/site-packages`, else `DIRECTORY/bin` (`pip install --target DIRECTORY`).
/// In the second case the parents of `DIRECTORY` may belong to other users, so they are not
/// searched.
pub(crate) fn program_directory(py: Python<'_>) -> Option<PathBuf> {
    let package = py.import("keybearer").and_then(|package| package.getattr("__file__"));
    let file: PathBuf = package.ok()?.extract().ok()?;
    let packages = file.parent()?.parent()?;
    let mut above = packages
        .ancestors()
        .map(|path| path.file_name().and_then(OsStr::to_str).unwrap_or_default());
    let is_site_packages = above.next().is_some_and(|name| name.ends_with("-packages"))
        && above.next().is_some_and(|name| name.starts_with("python"))
        && above.next().is_some_and(|name| name.starts_with("lib"));
    let prefix = if is_site_packages { packages.ancestors().nth(3)? } else { packages };
    Some(prefix.join("bin"))
}

/// Reads the record of an earlier sign-in. Its values take precedence over the keywords, except
/// `tenant_id`, where the keyword does.
fn read_record(record: &Bound<'_, PyAny>, options: &mut CredentialOptions) -> PyResult<()> {
    let text = |name: &str| -> PyResult<Option<String>> {
        record.getattr_opt(name)?.map_or(Ok(None), |value| value.extract())
    };
    let Some(home_account_id) = text("home_account_id")? else {
        let message = "authentication_record must have the attribute home_account_id";
        return Err(PyTypeError::new_err(message));
    };
    options.home_account_id = Some(home_account_id);
    options.client_id = text("client_id")?.or_else(|| options.client_id.take());
    options.authority = text("authority")?.or_else(|| options.authority.take());
    if options.tenant_id.as_deref().unwrap_or_default().is_empty() {
        options.tenant_id = text("tenant_id")?;
    }
    Ok(())
}

/// A number is a window handle. Any other object is the constant for the console, Keybearer's or
/// msal's, neither of which has a value to compare.
fn parent_window(handle: Option<Bound<'_, PyAny>>) -> ParentWindow {
    match handle.map(|handle| handle.extract::<isize>()) {
        None => ParentWindow::Automatic,
        Some(Ok(handle)) => ParentWindow::Handle(WindowHandle::from_raw(handle)),
        Some(Err(_)) => ParentWindow::Console,
    }
}

/// Checks the characters of a GUID or a domain name, as strictly as azure-identity.
fn tenant_id(text: String) -> PyResult<String> {
    if text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.')) {
        return Ok(text);
    }
    Err(PyValueError::new_err(format!("tenant_id must be a GUID or a domain name, not {text:?}")))
}

/// Requires a scheme. `localhost:8400` would parse as a URL whose scheme is `localhost`.
fn redirect_uri(text: String) -> PyResult<String> {
    if text.contains("://") || text.starts_with("urn:") {
        return Ok(text);
    }
    Err(PyValueError::new_err(format!(
        "redirect_uri must be a redirect URI such as \"http://localhost:8400\", not {text:?}"
    )))
}

fn broker(word: &str) -> PyResult<BrokerChoice> {
    match word {
        "auto" => Ok(BrokerChoice::Auto),
        "required" => Ok(BrokerChoice::Required),
        "never" => Ok(BrokerChoice::Never),
        _ => Err(PyValueError::new_err("broker must be 'auto', 'required' or 'never'")),
    }
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map(|duration| duration.min(MAX_TIMEOUT)).map_err(|_| {
        let message = format!("timeout must be zero or more seconds, not {seconds}");
        PyValueError::new_err(message)
    })
}

/// Keywords, where `None` means absent.
struct Keywords<'a, 'py>(&'a Bound<'py, PyDict>);

impl<'py> Keywords<'_, 'py> {
    fn value<T>(&self, name: &str) -> PyResult<Option<T>>
    where
        T: FromPyObjectOwned<'py>,
    {
        let Some(value) = self.0.get_item(name)?.filter(|value| !value.is_none()) else {
            return Ok(None);
        };
        let extracted = value.extract::<T>().map_err(Into::<PyErr>::into);
        // In the words that PyO3 uses for an argument of a wrong type.
        extracted.map(Some).map_err(|error| {
            let reason = error.value(value.py()).to_string();
            PyTypeError::new_err(format!("argument '{name}': {reason}"))
        })
    }

    fn flag(&self, name: &str) -> PyResult<bool> {
        self.0.get_item(name)?.map_or(Ok(false), |value| value.is_truthy())
    }
}
