use std::fmt;
use std::path::{Path, PathBuf};

use keybearer_dbus::interface::BUS_NAME;
use keybearer_host::Environment;
use serde::Serialize;

use crate::status::NameHolder;

/// Something of another broker's.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Conflict {
    /// A file that we did not write, where one of ours is to be.
    InOurPlace(PathBuf),
    /// A file that makes the session bus start another broker.
    Activated {
        /// Where it is.
        file: PathBuf,
        /// What it starts.
        command: String,
        /// Whether it counts once ours is there.
        precedence: Precedence,
    },
    /// Another broker runs, and has the name on the session bus.
    Running(NameHolder),
}

/// Which of two activation files for one name the session bus goes by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "there is no fourth way")]
pub enum Precedence {
    /// Ours: the user's directory goes before the system's.
    Ours,
    /// The other: what is made for this session goes before what is the user's.
    Theirs,
    /// Whichever the directory lists first, for both are in it. `dbus-daemon` leaves that open.
    Undecided,
}

impl Conflict {
    /// Whether our files, once written, go before it.
    #[must_use]
    pub const fn gives_way(&self) -> bool {
        match self {
            Self::Activated { precedence, .. } => matches!(precedence, Precedence::Ours),
            Self::InOurPlace(_) | Self::Running(_) => true,
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InOurPlace(file) => {
                write!(f, "{} is there and not written by Keybearer", file.display())
            }
            Self::Activated { file, command, precedence } => {
                let file = file.display();
                let counts = match precedence {
                    Precedence::Ours => "ours goes before it",
                    Precedence::Theirs => "it goes before ours",
                    Precedence::Undecided => "it is beside ours, and either may count",
                };
                write!(f, "another broker is installed: {file} starts {command} ({counts})")
            }
            Self::Running(holder) => write!(f, "{holder} has the name {BUS_NAME}"),
        }
    }
}

/// Other activation files for the broker's name, where a `dbus-daemon` of a session looks, in that
/// order.
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
        // What is not there or cannot be read is not read by the bus either.
        let Ok(entries) = directory.join("dbus-1/services").read_dir() else { continue };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            let named_so = file.file_name() == Some(super::contents::ACTIVATION_FILE.as_ref());
            let read = match precedence {
                // dbus-daemon(1): there, and only there, the file must be called as the service.
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
