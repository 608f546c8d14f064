use std::time::{Duration, Instant};

use keybearer_core::{
    Abilities, AccountChoice, Deadline, Prompt, SignInMethod, SignInOptions, SshSession, Terminal,
};
use serde::{Deserialize, Serialize};

use super::{Member, Nested};

/// How long a client waits that does not say how long. Other vendors' clients give up on
/// silent calls after 10 to 40 seconds.
pub(crate) const SILENT_TIMEOUT: Duration = Duration::from_secs(60);

/// The same for interactive calls, which other vendors' clients let block until the flow ends.
pub(crate) const INTERACTIVE_TIMEOUT: Duration = Duration::from_secs(600);

/// The longest wait a request may ask for; more counts as this.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// The `keybearer` object of a request: what Keybearer's clients say and other brokers ignore.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExtensionOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    /// What the client's presenter can do, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    presenter: Option<Vec<&'static str>>,
    /// How the person came to the client's terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh: Option<String>,
    timeout_ms: u64,
}

impl ExtensionOut {
    pub(crate) fn new(timeout: Duration) -> Self {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        Self { timeout_ms, ..Self::default() }
    }

    /// Tells `Only` from `Default`, which look the same to others.
    pub(crate) fn with_account(self, account: &AccountChoice) -> Self {
        let account = (*account == AccountChoice::Only).then_some(ONLY);
        Self { account, ..self }
    }

    pub(crate) fn with_prompt(self, prompt: Prompt) -> Self {
        Self { prompt: prompt.as_parameter(), ..self }
    }

    pub(crate) fn with_presence(self, sign_in_options: &SignInOptions) -> Self {
        let method = match sign_in_options.method {
            SignInMethod::Auto => None,
            SignInMethod::Browser => Some(BROWSER),
            SignInMethod::DeviceCode => Some(DEVICE_CODE),
            SignInMethod::Paste => Some(PASTE),
        };
        let Some(presenter) = &sign_in_options.caller_ui else { return Self { method, ..self } };
        let Abilities { browser, terminal } = presenter.abilities();
        let words = [browser.then_some(BROWSER), terminal.is_some().then_some(TERMINAL)];
        let ssh = terminal.and_then(|terminal| terminal.ssh).map(|ssh| ssh.destination);
        Self { method, presenter: Some(words.into_iter().flatten().collect()), ssh, ..self }
    }
}

/// The same as received.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ExtensionIn {
    account: Member<String>,
    prompt: Member<String>,
    method: Member<String>,
    presenter: Member<Vec<String>>,
    ssh: Member<String>,
    timeout_ms: Member<i64>,
}

impl ExtensionIn {
    pub(crate) fn of(member: Member<Nested<Self>>) -> Self {
        member.lenient().map(|Nested(own)| own).unwrap_or_default()
    }

    /// When the client gives up on a request that was `received` then.
    pub(crate) fn deadline(&self, default: Duration, received: Instant) -> Deadline {
        let limit = match self.timeout_ms {
            Member::Is(millis) => {
                Duration::from_millis(u64::try_from(millis).unwrap_or(0)).min(MAX_TIMEOUT)
            }
            Member::Absent | Member::WrongType => default,
        };
        Deadline::after(limit, received)
    }

    /// Whether the client is Keybearer's, which always says how long it waits.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self.timeout_ms, Member::Is(_))
    }

    /// What it means to this client that no account is named.
    pub(crate) fn open_choice(&self) -> AccountChoice {
        match &self.account {
            Member::Is(word) if word == ONLY => AccountChoice::Only,
            _ => AccountChoice::Default,
        }
    }

    pub(crate) fn prompt(&self) -> Option<Prompt> {
        self.prompt.clone().lenient().map(|word| Prompt::from_parameter(&word))
    }

    /// A method of a newer client counts as none named.
    pub(crate) fn method(&self) -> SignInMethod {
        match &self.method {
            Member::Is(word) if word == BROWSER => SignInMethod::Browser,
            Member::Is(word) if word == DEVICE_CODE => SignInMethod::DeviceCode,
            Member::Is(word) if word == PASTE => SignInMethod::Paste,
            _ => SignInMethod::Auto,
        }
    }

    /// What the client's presenter can do, if it has one.
    pub(crate) fn abilities(&self) -> Option<Abilities> {
        let words = self.presenter.clone().lenient()?;
        let can = |word: &str| words.iter().any(|own| own == word);
        let ssh = self.ssh.clone().lenient().map(|destination| SshSession { destination });
        let terminal = can(TERMINAL).then_some(Terminal { ssh });
        Some(Abilities { browser: can(BROWSER), terminal })
    }
}

const ONLY: &str = "only";
const BROWSER: &str = "browser";
const DEVICE_CODE: &str = "device_code";
const PASTE: &str = "paste";
const TERMINAL: &str = "terminal";
