use std::path::PathBuf;
use std::time::Duration;

use keybearer_core::{Error, Missing, Result};
use keybearer_host::Environment;
use tokio::time::timeout;

use super::process::{self, Failure};

/// Finds the proxy on a machine that may be WSL.
#[derive(Clone, Debug)]
pub struct WslProxyLocator {
    /// Holds the release of the kernel.
    pub os_release: PathBuf,
    /// The program of WSL that prints the path of the proxy. An absolute path, because services have no
    /// `/bin` in their `PATH`.
    pub wslinfo: PathBuf,
    /// Where the proxy is usually.
    pub usual: PathBuf,
}

impl Default for WslProxyLocator {
    fn default() -> Self {
        Self {
            os_release: "/proc/sys/kernel/osrelease".into(),
            wslinfo: "/usr/bin/wslinfo".into(),
            usual: "/mnt/c/Program Files/WSL/msal.wsl.proxy.exe".into(),
        }
    }
}

/// The proxy to the Windows broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundProxy {
    /// The program.
    pub program: PathBuf,
    /// How it was found.
    pub by: FoundBy,
}

/// How the proxy was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FoundBy {
    /// The variable [`WslProxyLocator::VARIABLE`].
    Variable,
    /// `wslinfo --msal-proxy-path`.
    Wslinfo,
    /// It is where it usually is.
    UsualPlace,
}

/// `wslinfo` is known to hang (microsoft/WSL issue 12714).
const WSLINFO_LIMIT: Duration = Duration::from_secs(3);

impl WslProxyLocator {
    /// Names the proxy's program, on any Linux; `off` says not to use one.
    pub const VARIABLE: &str = "KEYBEARER_WSL_PROXY";

    /// Whether requests should go to Windows: this is WSL or the variable names a proxy, and the
    /// variable does not say `off`.
    #[must_use]
    pub fn wanted(&self, environment: &Environment) -> bool {
        match environment.value(Self::VARIABLE) {
            Some(named) => named != OFF,
            None => self.is_wsl(environment),
        }
    }

    /// Whether this is WSL. Services have none of its variables, so the kernel is asked as well.
    #[must_use]
    pub fn is_wsl(&self, environment: &Environment) -> bool {
        let release = std::fs::read_to_string(&self.os_release).unwrap_or_default();
        release.to_ascii_lowercase().contains("microsoft") || environment.has("WSL_DISTRO_NAME")
    }

    /// Finds the proxy: where the variable says, else where WSL says, else at the usual place.
    ///
    /// # Errors
    /// `Unavailable(Broker)` with what was tried and how to get it.
    pub async fn find(&self, environment: &Environment, limit: Duration) -> Result<FoundProxy> {
        if let Some(named) = environment.value(Self::VARIABLE) {
            let program = PathBuf::from(named);
            return if program.is_absolute() && program.is_file() {
                Ok(FoundProxy { program, by: FoundBy::Variable })
            } else {
                let message = format!("{} names no program: {}", Self::VARIABLE, program.display());
                let hint = format!(
                    "set {} to the absolute path of the proxy, or unset it",
                    Self::VARIABLE
                );
                Err(Error::unavailable(Missing::Broker, message).with_hint(hint))
            };
        }
        let reason = match self.ask_for_proxy(limit).await {
            Ok(program) => return Ok(FoundProxy { program, by: FoundBy::Wslinfo }),
            Err(reason) => reason,
        };
        tracing::debug!(reason, "wslinfo names no proxy");
        if self.usual.is_file() {
            return Ok(FoundProxy { program: self.usual.clone(), by: FoundBy::UsualPlace });
        }
        let message = format!(
            "could not find the proxy to the Windows broker: {reason}; there is no {}",
            self.usual.display()
        );
        Err(Error::unavailable(Missing::Broker, message).with_hint(UPDATE))
    }

    /// The version of WSL, if `wslinfo` reports it.
    pub async fn version(&self, limit: Duration) -> Option<String> {
        const LONGEST: usize = 30;
        let version = self.ask_wslinfo(&["--wsl-version"], limit).await.ok()?;
        let is_version = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let known = !version.is_empty() && version.len() <= LONGEST;
        (known && version.chars().all(is_version)).then_some(version)
    }

    async fn ask_for_proxy(&self, limit: Duration) -> Result<PathBuf, String> {
        let path = PathBuf::from(self.ask_wslinfo(&["--msal-proxy-path", "-n"], limit).await?);
        match path.is_absolute() && path.is_file() {
            true => Ok(path),
            false => Err(format!("{} names no program", self.wslinfo.display())),
        }
    }

    async fn ask_wslinfo(&self, arguments: &[&str], limit: Duration) -> Result<String, String> {
        let (wslinfo, limit) = (self.wslinfo.display(), limit.min(WSLINFO_LIMIT));
        let output = timeout(limit, process::run(&self.wslinfo, arguments)).await;
        let output = output.map_err(|_| format!("{wslinfo} did not answer within {limit:?}"))?;
        let output = output.map_err(|failure| match failure {
            Failure::Start(error) => format!("{wslinfo} does not start: {error}"),
            Failure::TooMuch | Failure::Unreadable(_) => format!("{wslinfo} wrote something else"),
        })?;
        process::clean(&output.stdout).ok_or_else(|| format!("{wslinfo} wrote no text"))
    }
}

const OFF: &str = "off";

/// How to get a proxy.
pub(super) const UPDATE: &str =
    "run `wsl.exe --update` and then `wsl.exe --shutdown`: WSL 2.4.13 or newer brings the proxy";
