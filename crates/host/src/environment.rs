use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// A snapshot of the environment variables, so that code that depends on them is a pure function of
/// this value.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The variables of this process, now.
    #[must_use]
    pub fn current() -> Self {
        let variables = std::env::vars_os();
        // On Windows, `Path` and `PATH` are the same variable.
        let name = |name: OsString| if cfg!(windows) { name.to_ascii_uppercase() } else { name };
        Self(variables.map(|(key, value)| (name(key), value)).collect())
    }

    /// These variables only.
    pub fn from_pairs<N: Into<OsString>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// All variables.
    #[cfg(unix)]
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The value of a variable; an empty value counts as unset.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The value of a variable, if it is UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(OsStr::to_str)
    }

    /// Whether the variable is set and not empty.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whether both environments agree on the variables that Keybearer reads: where files are, how
    /// programs and hosts are reached, and what is trusted. Other variables do not matter.
    #[must_use]
    pub fn same_settings_as(&self, other: &Self) -> bool {
        self.settings().eq(other.settings())
    }

    fn settings(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        const NAMES: [&str; 8] = [
            "APPDATA",
            "BROWSER",
            "DISPLAY",
            "HOME",
            "LOCALAPPDATA",
            "PATH",
            "TMPDIR",
            "WAYLAND_DISPLAY",
        ];
        const PREFIXES: [&str; 6] = ["DBUS_", "KEYBEARER_", "SSH_", "SSL_CERT_", "WSL_", "XDG_"];
        self.0.iter().filter(|(name, _)| {
            let name = name.to_string_lossy().to_ascii_uppercase();
            NAMES.contains(&&*name)
                || PREFIXES.iter().any(|family| name.starts_with(family))
                || name.ends_with("_PROXY")
        })
    }

    /// The D-Bus address of the session bus, if there is one: from `DBUS_SESSION_BUS_ADDRESS`, else
    /// the usual path.
    #[must_use]
    pub fn session_bus_address(&self) -> Option<String> {
        if let Some(address) = self.text("DBUS_SESSION_BUS_ADDRESS") {
            return Some(address.to_owned());
        }
        let usual = Path::new(self.value("XDG_RUNTIME_DIR")?).join("bus");
        usual.exists().then(|| format!("unix:path={}", usual.display()))
    }
}

/// Prints the names only: values may be secret.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_decides_about_anything_makes_a_difference() {
        let bare = Environment::from_pairs([("HOME", "/h"), ("https_proxy", "http://p")]);
        let with = |name: &str, value: &str| {
            let pairs = [("HOME", "/h"), ("https_proxy", "http://p"), (name, value)];
            Environment::from_pairs(pairs).same_settings_as(&bare)
        };
        assert!(with("TRACEPARENT", "00-1") && with("LANG", "C"));
        for name in ["HOME", "https_proxy", "NO_PROXY", "KEYBEARER_PROGRAM", "XDG_RUNTIME_DIR"] {
            assert!(!with(name, "/x"), "{name}");
        }
    }

    #[test]
    fn the_session_bus_is_where_the_variable_says_else_at_its_usual_place() {
        let runtime_dir = tempfile::tempdir().unwrap();
        let place = ("XDG_RUNTIME_DIR", runtime_dir.path().as_os_str());
        let usual = Environment::from_pairs([place]);
        assert_eq!(usual.session_bus_address(), None);
        std::fs::write(runtime_dir.path().join("bus"), "").unwrap();
        let expected = format!("unix:path={}/bus", runtime_dir.path().display());
        assert_eq!(usual.session_bus_address(), Some(expected));
        let named = ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/b".as_ref());
        let named = Environment::from_pairs([place, named]);
        assert_eq!(named.session_bus_address().as_deref(), Some("unix:path=/b"));
    }
}
