use keybearer_core::Error;
use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What was looked at, in one word or two.
    pub(super) about: &'static str,
    /// What was found.
    pub(super) found: String,
    /// The next step, if one is needed.
    pub(super) hint: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Info,
    /// Something will not work, or not as well as it could.
    Warning,
    /// Nothing works before this is mended.
    Error,
}

impl Level {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Finding {
    pub(super) fn new(level: Level, about: &'static str, found: impl Into<String>) -> Self {
        Self { level, about, found: found.into(), hint: None }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// An error with its causes in one line.
    pub(super) fn of_error(about: &'static str, level: Level, error: &Error) -> Self {
        Self { level, about, found: error.full_message(), hint: error.hint().map(str::to_owned) }
    }
}
