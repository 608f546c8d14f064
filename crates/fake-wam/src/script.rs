use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

/// The behaviour of the provider.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Script {
    /// A script of another name resets the accounts and tokens.
    pub(crate) name: String,
    /// The authority of the account of the Windows session.
    pub(crate) session: Option<String>,
    pub(crate) no_providers: bool,
    pub(crate) listing: Listing,
    pub(crate) accounts: Vec<Account>,
    pub(crate) silent: Behaviour,
    pub(crate) interactive: Behaviour,
    /// The account that signs in when asked.
    pub(crate) person: Option<Account>,
    /// The tokens, in turn; the last one is repeated.
    pub(crate) tokens: Vec<String>,
    /// More properties of a successful answer.
    pub(crate) properties: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) user_name: String,
    pub(crate) properties: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Listing {
    #[default]
    All,
    Refused,
    Error,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behaviour {
    /// A token if there is an account, else interaction is required.
    #[default]
    Token,
    Cancel,
    Interaction,
    Error {
        code: u32,
        message: String,
    },
    /// A token of another account, with the status `AccountSwitch`.
    Switch,
    /// Never completes, and cannot be cancelled.
    Never,
    /// Does not return from the call for two seconds.
    Stuck,
    /// Reports success with an empty response.
    Garbage,
    /// The operation itself fails.
    Fails {
        code: u32,
    },
}

/// The script, and the accounts and tokens that resulted from it.
#[derive(Debug, Default)]
pub(crate) struct ScriptedAccounts {
    text: String,
    pub(crate) script: Script,
    pub(crate) accounts: Vec<Account>,
    pub(crate) issued: usize,
}

/// The state of the current script.
pub(crate) fn state() -> MutexGuard<'static, ScriptedAccounts> {
    static STATE: LazyLock<Mutex<ScriptedAccounts>> = LazyLock::new(Mutex::default);
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let text = directory().and_then(|dir| std::fs::read_to_string(dir.join("script.json")).ok());
    let text = text.unwrap_or_default();
    if text != state.text {
        let script: Script = match serde_json::from_str(&text) {
            Ok(script) => script,
            Err(error) => {
                log(&serde_json::json!({ "call": "script", "error": error.to_string() }));
                Script::default()
            }
        };
        *state = ScriptedAccounts { text, accounts: script.accounts.clone(), script, issued: 0 };
    }
    state
}

/// Adds a line to the log.
pub(crate) fn log(entry: &serde_json::Value) {
    let Some(dir) = directory() else { return };
    let file = std::fs::File::options().create(true).append(true).open(dir.join("log.jsonl"));
    if let Ok(mut file) = file {
        let _ = writeln!(file, "{entry}");
    }
}

pub(crate) fn write(name: &str, content: &str) {
    if let Some(dir) = directory() {
        let _ = std::fs::write(dir.join(name), content);
    }
}

fn directory() -> Option<PathBuf> {
    std::env::var_os("FAKE_WAM_DIR").map(PathBuf::from)
}
