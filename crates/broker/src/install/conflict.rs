use std::fmt;
use std::path::{Path, PathBuf};

use keybearer_dbus::interface::BUS_NAME;
use keybearer_host::Environment;
use serde::Serialize;

use crate::status::NameHolder;

/// A file or process of another broker.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Conflict {
    /// A file of another program at the path of one of ours.
    PathOccupied(PathBuf),
    /// A file that makes the session bus start another broker.
    Activated {
        /// Its path.
        file: PathBuf,
        /// The command that it starts.
        command: String,
        /// Whether it takes effect when ours is installed.
        precedence: Precedence,
    },
    /// Another broker is running, and has the name on the session bus.
    Running(NameHolder),
}

/// Which of two activation files for one name the session bus uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precedence {
    /// Ours: the user's directory takes precedence over the system's.
    Ours,
    /// The other: the session's directory takes precedence over the user's.
    Theirs,
    /// Undefined: both are in one directory, and `dbus-daemon` does not specify their order.
    Undecided,
}

impl Conflict {
    /// Whether our files take precedence once they are written.
    #[must_use]
    pub const fn gives_way(&self) -> bool {
        match self {
            Self::Activated { precedence, .. } => matches!(precedence, Precedence::Ours),
            Self::PathOccupied(_) | Self::Running(_) => true,
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PathOccupied(file) => {
                write!(f, "{} exists and was not written by Keybearer", file.display())
            }
            Self::Activated { file, command, precedence } => {
                let file = file.display();
                let counts = match precedence {
                    Precedence::Ours => "ours takes precedence",
                    Precedence::Theirs => "it takes precedence over ours",
                    Precedence::Undecided => {
                        "it is in the same directory as ours, and either may be used"
                    }
                };
                write!(f, "another broker is installed: {file} starts {command} ({counts})")
            }
            Self::Running(holder) => write!(f, "{holder} has the name {BUS_NAME}"),
        }
    }
}

/// Other activation files for the broker's name, in the order in which the `dbus-daemon` of a session
/// reads them.
pub(super) fn activated_elsewhere(environment: &Environment, data_home: &Path) -> Vec<Conflict> {
    let system = environment
        .value("XDG_DATA_DIRS")
        .unwrap_or_else(|| "/usr/local/share:/usr/share".as_ref());
    let system = std::env::split_paths(system).filter(|directory| directory.is_absolute());
    let runtime = environment.value("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.into_iter().map(|directory| (directory, Precedence::Theirs));
    let own = [(data_home.to_owned(), Precedence::Undecided)];
    let system = system.map(|directory| (directory, Precedence::Ours));
    let mut found = Vec::new();
    for (directory, precedence) in runtime.chain(own).chain(system) {
        // The bus cannot read a directory that we cannot read.
        let Ok(entries) = directory.join("dbus-1/services").read_dir() else { continue };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            let named_so = file.file_name() == Some(super::contents::ACTIVATION_FILE.as_ref());
            let read = match precedence {
                // dbus-daemon(1): only in this directory must the file have the name of the service.
                Precedence::Theirs => named_so,
                Precedence::Undecided => !named_so && is_service(&file),
                Precedence::Ours => is_service(&file),
            };
            let text = std::fs::read_to_string(&file).ok().filter(|_| read).unwrap_or_default();
            if value(&text, "Name") == Some(BUS_NAME) {
                let command = value(&text, "Exec").unwrap_or("nothing").to_owned();
                found.push(Conflict::Activated { file, command, precedence });
            }
        }
    }
    found
}

fn is_service(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "service")
}

pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut values = pairs.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
    values.next()
}
