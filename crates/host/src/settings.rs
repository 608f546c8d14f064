use std::path::Path;

use keybearer_core::{AuthorityHost, Error, Result};
use keybearer_engine::FamilyRefreshTokens;
use serde::Deserialize;

use crate::environment::Environment;

/// The configuration file, as written. An unknown key is an error, because it is most likely a
/// misspelled one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Authority hosts (`host` or `host:port`) besides Microsoft's clouds that are used without
    /// instance discovery. Default: none.
    pub trusted_authority_hosts: Vec<String>,
    /// `"off"` or `"same-family"`: whether an app may use the refresh token of another app of its
    /// family in Entra, see [`FamilyRefreshTokens`]. Default: `"off"`.
    #[serde(deserialize_with = "family_refresh_tokens")]
    pub family_refresh_tokens: FamilyRefreshTokens,
    /// The port on which this machine waits for the redirect of a browser on another machine, for
    /// `ssh -L`. Default: 27410.
    pub loopback_port: Option<u16>,
}

fn family_refresh_tokens<'de, D>(
    deserializer: D,
) -> std::result::Result<FamilyRefreshTokens, D::Error>
where
    D: serde::Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Word {
        Off,
        SameFamily,
    }
    Ok(match Word::deserialize(deserializer)? {
        Word::Off => FamilyRefreshTokens::Off,
        Word::SameFamily => FamilyRefreshTokens::SameFamily,
    })
}

impl Config {
    /// Parses the text of the file; `path` is for messages.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `config` that names the path, the line and the key.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let problem = error.message().lines().next().unwrap_or_default();
            let shown = path.display();
            Error::invalid_request(
                "config",
                format!("could not read {shown}, line {line}: {problem}"),
            )
            .with_hint(format!("fix line {line} of {shown}"))
        })
    }

    /// Reads the file; an absent file counts as empty.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                Err(Error::invalid_request("config", format!("could not read {}", path.display()))
                    .with_source(error)
                    .with_hint("make the file readable UTF-8 text"))
            }
        }
    }
}

/// The resolved configuration: the file and the environment together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Authority hosts besides Microsoft's clouds that are used without instance discovery.
    pub trusted_authority_hosts: Vec<AuthorityHost>,
    /// Whether an app may use the refresh token of another app of its family.
    pub family_refresh_tokens: FamilyRefreshTokens,
    /// The port for the redirect of a browser on another machine, if one is configured.
    pub loopback_port: Option<u16>,
}

impl Settings {
    /// Merges the file's hosts with those of `KEYBEARER_TRUSTED_AUTHORITY_HOSTS`.
    ///
    /// # Errors
    /// `InvalidRequest` with the key or variable and the text that is not a host.
    pub fn resolve(config: &Config, environment: &Environment) -> Result<Self> {
        const VARIABLE: &str = "KEYBEARER_TRUSTED_AUTHORITY_HOSTS";
        let from_file = config.trusted_authority_hosts.iter().map(String::as_str);
        let listed = environment.text(VARIABLE).unwrap_or_default().split(',');
        let from_environment = listed.map(str::trim).filter(|host| !host.is_empty());
        let named = from_file
            .map(|host| ("trusted_authority_hosts", host))
            .chain(from_environment.map(|host| (VARIABLE, host)));
        let mut hosts: Vec<AuthorityHost> = named.map(host).collect::<Result<_>>()?;
        hosts.sort_unstable();
        hosts.dedup();
        Ok(Self {
            trusted_authority_hosts: hosts,
            family_refresh_tokens: config.family_refresh_tokens,
            loopback_port: config.loopback_port.filter(|port| *port != 0),
        })
    }

    /// The settings of this user.
    ///
    /// # Errors
    /// As [`Config::read`] and [`resolve`](Self::resolve).
    pub fn load(config_file: &Path, environment: &Environment) -> Result<Self> {
        Self::resolve(&Config::read(config_file)?, environment)
    }
}

fn host((source, text): (&'static str, &str)) -> Result<AuthorityHost> {
    AuthorityHost::parse(text).map_err(|error| {
        Error::invalid_request(source, format!("'{text}' in {source} is not an authority host"))
            .with_source(error)
            .with_hint(format!("write {source} as host or host:port"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_and_environment_are_joined() {
        let text = "# mine\nloopback_port = 8123\ntrusted_authority_hosts = [\"localhost:8443\", \"b.example\"]\n";
        let config = Config::parse(text, Path::new("/c")).unwrap();
        let variable = ("KEYBEARER_TRUSTED_AUTHORITY_HOSTS", " a.example , b.example,,");
        let settings = Settings::resolve(&config, &Environment::from_pairs([variable])).unwrap();
        let hosts: Vec<&str> =
            settings.trusted_authority_hosts.iter().map(AuthorityHost::as_str).collect();
        assert_eq!(hosts, ["a.example", "b.example", "localhost:8443"]);
        assert_eq!(settings.loopback_port, Some(8123));
    }

    #[test]
    fn refresh_tokens_of_a_family_are_used_only_where_the_file_says_so() {
        for (text, expected) in [
            ("", FamilyRefreshTokens::Off),
            ("family_refresh_tokens = \"off\"", FamilyRefreshTokens::Off),
            ("family_refresh_tokens = \"same-family\"", FamilyRefreshTokens::SameFamily),
        ] {
            let config = Config::parse(text, Path::new("/c")).unwrap();
            let settings = Settings::resolve(&config, &Environment::default()).unwrap();
            assert_eq!(settings.family_refresh_tokens, expected, "{text}");
        }
    }

    #[test]
    fn mistakes_in_the_file_are_named_with_their_line() {
        for (text, line, problem) in [
            ("\ntrusted_hosts = []\n", "line 2", "trusted_hosts"),
            ("trusted_authority_hosts = [\n  1,\n]\n", "line 2", "string"),
            ("family_refresh_tokens = \"all\"", "line 1", "`off` or `same-family`"),
            ("a", "line 1", ""),
        ] {
            let message = Config::parse(text, Path::new("/c.toml")).unwrap_err().message();
            assert!(message.contains("/c.toml") && message.contains(line), "{message}");
            assert!(message.contains(problem), "{message}");
        }
    }

    #[test]
    fn an_absent_file_says_nothing_and_a_bad_host_names_its_source() {
        let absent = Path::new("/nonexistent/keybearer/config.toml");
        assert_eq!(Settings::load(absent, &Environment::default()).unwrap(), Settings::default());
        let variable = ("KEYBEARER_TRUSTED_AUTHORITY_HOSTS", "http://a.example");
        let error = Settings::load(absent, &Environment::from_pairs([variable])).unwrap_err();
        assert!(error.message().contains("KEYBEARER_TRUSTED_AUTHORITY_HOSTS"), "{error}");
    }
}
