//! The credential's keywords, named as azure-identity-broker names them.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use keybearer_client::{BrokerChoice, CredentialOptions, ParentWindow, WindowHandle};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::string_iterable::StringIterable;

/// Longer waits are as good as this one.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads the keywords. Those without a meaning here are accepted and ignored: the ones of
/// transports and pipelines, and `cache_persistence_options`: the broker keeps the tokens.
///
/// # Errors
/// `TypeError` or `ValueError` naming the keyword.
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

/// Where an installer puts the programs of what it installs where this package is: `PREFIX/bin` for
/// `PREFIX/lib/pythonX.Y/site-packages`, else `DIRECTORY/bin` (`pip install --target DIRECTORY`).
/// What lies above a directory of that kind may be anybody's.
pub(crate) fn program_directory(py: Python<'_>) -> Option<PathBuf> {
    let package = py.import("keybearer").and_then(|package| package.getattr("__file__"));
    let file: PathBuf = package.ok()?.extract().ok()?;
    let packages = file.parent()?.parent()?;
    let mut above = packages
        .ancestors()
        .map(|path| path.file_name().and_then(OsStr::to_str).unwrap_or_default());
    let is_of_an_installation = above.next().is_some_and(|name| name.ends_with("-packages"))
        && above.next().is_some_and(|name| name.starts_with("python"))
        && above.next().is_some_and(|name| name.starts_with("lib"));
    let prefix = if is_of_an_installation { packages.ancestors().nth(3)? } else { packages };
    Some(prefix.join("bin"))
}

/// A record of an earlier sign-in decides everything it knows, except the directory if one was
/// named beside it.
fn read_record(record: &Bound<'_, PyAny>, options: &mut CredentialOptions) -> PyResult<()> {
    let text = |name: &str| -> PyResult<Option<String>> {
        record.getattr_opt(name)?.map_or(Ok(None), |value| value.extract())
    };
    let Some(home_account_id) = text("home_account_id")? else {
        return Err(PyTypeError::new_err("authentication_record has no home_account_id"));
    };
    options.home_account_id = Some(home_account_id);
    options.client_id = text("client_id")?.or_else(|| options.client_id.take());
    options.authority = text("authority")?.or_else(|| options.authority.take());
    if options.tenant_id.as_deref().unwrap_or_default().is_empty() {
        options.tenant_id = text("tenant_id")?;
    }
    Ok(())
}

/// A number is a window. Anything else is one of the constants for the console, ours or msal's,
/// which are known by identity only.
fn parent_window(handle: Option<Bound<'_, PyAny>>) -> ParentWindow {
    match handle.map(|handle| handle.extract::<isize>()) {
        None => ParentWindow::Automatic,
        Some(Ok(handle)) => ParentWindow::Handle(WindowHandle::from_raw(handle)),
        Some(Err(_)) => ParentWindow::Console,
    }
}

/// As strict as azure-identity: what a GUID or the name of a domain is made of.
fn tenant_id(text: String) -> PyResult<String> {
    if text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.')) {
        return Ok(text);
    }
    Err(PyValueError::new_err(format!("tenant_id: {text:?} is no GUID and no name of a domain")))
}

/// A host and a port look like a URL with a scheme.
fn redirect_uri(text: String) -> PyResult<String> {
    if text.contains("://") || text.starts_with("urn:") {
        return Ok(text);
    }
    Err(PyValueError::new_err(format!("redirect_uri: {text:?} is no redirect URI")))
}

fn broker(word: &str) -> PyResult<BrokerChoice> {
    match word {
        "auto" => Ok(BrokerChoice::Auto),
        "required" => Ok(BrokerChoice::Required),
        "never" => Ok(BrokerChoice::Never),
        _ => Err(PyValueError::new_err("broker: is not one of 'auto', 'required', 'never'")),
    }
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map(|duration| duration.min(LONGEST_TIMEOUT))
        .map_err(|_| PyValueError::new_err(format!("timeout: {seconds} is no number of seconds")))
}

/// Keywords, where `None` is as good as absent.
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
        extracted
            .map(Some)
            .map_err(|error| PyTypeError::new_err(format!("{name}: {}", error.value(value.py()))))
    }

    fn flag(&self, name: &str) -> PyResult<bool> {
        self.0.get_item(name)?.map_or(Ok(false), |value| value.is_truthy())
    }
}
