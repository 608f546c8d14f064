use keybearer_core::Error;
use serde::Serialize;

/// The result of one check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What was checked, in one or two words.
    pub(super) about: &'static str,
    /// The result.
    pub(super) found: String,
    /// The next step, if one is needed.
    pub(super) hint: Option<String>,
}

/// The severity of a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Information.
    Info,
    /// Something will not work, or only with limitations.
    Warning,
    /// Nothing works until this is fixed.
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

    /// A finding with the error and its causes in one line.
    pub(super) fn of_error(about: &'static str, level: Level, error: &Error) -> Self {
        Self { level, about, found: error.full_message(), hint: error.hint().map(str::to_owned) }
    }
}
