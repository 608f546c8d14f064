//! One text that a user may see.

use std::fmt;

/// Where a text appears.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// The message of an error.
    Error,
    /// The next step that an error or a finding names.
    Hint,
    /// A log line.
    Log,
    /// Help of a command or an option.
    Help,
    /// Parts of messages, and what is printed or drawn.
    Other,
}

impl Kind {
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::Error, Self::Hint, Self::Log, Self::Help, Self::Other];
        all.into_iter().find(|kind| kind.to_string() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Hint => "hint",
            Self::Log => "log",
            Self::Help => "help",
            Self::Other => "other",
        })
    }
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Text {
    /// The file, relative to the repository.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    /// As in the source: placeholders are not filled in.
    pub(crate) text: String,
}
