use std::fmt;
use std::path::{Path, PathBuf};

use keybearer_dbus::interface::BUS_NAME;
use keybearer_host::Environment;

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
    },
    /// Another broker runs, and has the name on the session bus.
    Running(NameHolder),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InOurPlace(file) => {
                write!(f, "{} is there and not written by Keybearer", file.display())
            }
            Self::Activated { file, command } => {
                write!(f, "another broker is installed: {} starts {command}", file.display())
            }
            Self::Running(holder) => write!(f, "{holder} has the name {BUS_NAME}"),
        }
    }
}

/// Other activation files for the broker's name, where a `dbus-daemon` of a session looks.
pub(super) fn activated_elsewhere(environment: &Environment, data_home: &Path) -> Vec<Conflict> {
    let system = environment
        .value("XDG_DATA_DIRS")
        .unwrap_or_else(|| "/usr/local/share:/usr/share".as_ref());
    let runtime = environment.value("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut directories: Vec<PathBuf> = runtime.into_iter().chain([data_home.to_owned()]).collect();
    directories.extend(std::env::split_paths(system).filter(|directory| directory.is_absolute()));
    let mut found = Vec::new();
    for directory in directories {
        // What is not there or cannot be read is not read by the bus either.
        let Ok(entries) = directory.join("dbus-1/services").read_dir() else { continue };
        for file in entries.flatten().map(|entry| entry.path()) {
            let own = file.starts_with(data_home)
                && file.file_name() == Some(super::contents::ACTIVATION_FILE.as_ref());
            let is_service = file.extension().is_some_and(|extension| extension == "service");
            if own || !is_service {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if value(&text, "Name") == Some(BUS_NAME) {
                let command = value(&text, "Exec").unwrap_or("nothing").to_owned();
                found.push(Conflict::Activated { file, command });
            }
        }
    }
    found
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut values = pairs.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
    values.next()
}
