use std::path::Path;

use keybearer_host::{Environment, Paths, Settings};
use url::Url;

use super::finding::{Finding, Level};

const PROXIES: [&str; 8] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];
const OWN: [&str; 5] = [
    "KEYBEARER_PROGRAM",
    "KEYBEARER_LOG",
    "KEYBEARER_TRUSTED_AUTHORITY_HOSTS",
    "KEYBEARER_WINDOW_BROWSER",
    "KEYBEARER_WSL_PROXY",
];
const AZURE: [&str; 3] =
    ["AZURE_AUTHORITY_HOST", "AZURE_TENANT_ID", "AZURE_IDENTITY_DISABLE_MULTITENANTAUTH"];

/// The environment variables that affect connections to providers and trust in them.
pub(super) fn examine(environment: &Environment, findings: &mut Vec<Finding>) {
    findings.extend(PROXIES.iter().filter_map(|name| proxy(name, environment.text(name)?)));
    if let Some(path) = environment.value("SSL_CERT_FILE") {
        findings.push(certificates("SSL_CERT_FILE", Path::new(path), Path::is_file));
    }
    if let Some(paths) = environment.value("SSL_CERT_DIR") {
        let found = std::env::split_paths(paths);
        findings.extend(found.map(|path| certificates("SSL_CERT_DIR", &path, Path::is_dir)));
    }
    for name in AZURE.into_iter().chain(OWN) {
        if let Some(value) = environment.text(name) {
            findings.push(Finding::new(Level::Info, "variable", format!("{name}={value}")));
        }
    }
}

/// The configuration file, and the authority hosts trusted by it and by the environment.
pub(super) fn examine_settings(
    paths: &Paths,
    environment: &Environment,
    findings: &mut Vec<Finding>,
) {
    findings.push(match Settings::load(&paths.config_file, environment) {
        Err(error) => Finding::of_error("config", Level::Error, &error),
        Ok(settings) => {
            let hosts: Vec<&str> =
                settings.trusted_authority_hosts.iter().map(|host| host.as_str()).collect();
            let file = match paths.config_file.exists() {
                true => paths.config_file.display().to_string(),
                false => "no configuration file".to_owned(),
            };
            let trusted = if hosts.is_empty() {
                "only Microsoft's authority hosts are trusted".to_owned()
            } else {
                format!("trusted authority hosts: {}", hosts.join(", "))
            };
            Finding::new(Level::Ok, "config", format!("{file}; {trusted}"))
        }
    });
}

/// The address of a proxy, without a password.
fn proxy(name: &str, value: &str) -> Option<Finding> {
    if name.eq_ignore_ascii_case("NO_PROXY") {
        return Some(Finding::new(Level::Info, "proxy", format!("{name}={value}")));
    }
    let with_scheme = if value.contains("://") { value.into() } else { format!("http://{value}") };
    Some(match Url::parse(&with_scheme).ok().filter(Url::has_host) {
        Some(url) => {
            let (host, port) = (url.host_str().unwrap_or_default(), url.port());
            let port = port.map_or_else(String::new, |port| format!(":{port}"));
            Finding::new(Level::Info, "proxy", format!("{name} is {}://{host}{port}", url.scheme()))
        }
        None => Finding::new(Level::Warning, "proxy", format!("{name} is not an address"))
            .with_hint(format!("set {name} to http://HOST:PORT, or unset it")),
    })
}

fn certificates(
    name: &'static str,
    path: &Path,
    is_right_type: impl FnOnce(&Path) -> bool,
) -> Finding {
    let shown = path.display();
    let readable = match path.is_dir() {
        true => path.read_dir().map(drop),
        false => std::fs::File::open(path).map(drop),
    };
    match readable {
        Ok(()) if is_right_type(path) => {
            Finding::new(Level::Ok, "certificates", format!("{name} is {shown}"))
        }
        outcome => {
            let why =
                outcome.err().map_or_else(|| "wrong type".to_owned(), |error| error.to_string());
            Finding::new(Level::Error, "certificates", format!("{name} is {shown}: {why}"))
                .with_hint(format!("set {name} to certificates you can read, or unset it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_password_is_not_shown() {
        let finding = proxy("HTTPS_PROXY", "http://dev:secret@proxy.example:3128").unwrap();
        assert_eq!(finding.found, "HTTPS_PROXY is http://proxy.example:3128");
        assert_eq!(proxy("https_proxy", "proxy.example:3128").unwrap().level, Level::Info);
        let broken = proxy("HTTPS_PROXY", "http://").unwrap();
        assert!(broken.level == Level::Warning && broken.hint.is_some());
    }

    #[test]
    fn certificates_that_cannot_be_read_are_an_error_that_names_the_variable() {
        let directory = tempfile::tempdir().unwrap();
        let variables = [
            ("SSL_CERT_FILE", directory.path().join("absent.pem").into_os_string()),
            ("SSL_CERT_DIR", directory.path().as_os_str().to_owned()),
        ];
        let mut findings = Vec::new();
        examine(&Environment::from_pairs(variables), &mut findings);
        let levels: Vec<Level> = findings.iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Error, Level::Ok]);
        assert!(findings[0].hint.as_ref().unwrap().contains("SSL_CERT_FILE"));
    }
}
