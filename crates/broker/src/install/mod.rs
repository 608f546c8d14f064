//! The files by which a session bus and systemd start the broker for this user: planned, then
//! written; and removed without a trace.

mod conflict;
mod contents;
mod file;
mod found;

use std::path::{Path, PathBuf};
use std::time::Duration;

use keybearer_core::{Error, Missing, Result};
use keybearer_dbus::interface::BUS_NAME;
use keybearer_host::Environment;
use tokio::time::timeout;

pub use conflict::{Conflict, Precedence};
use contents::{SERVICE_UNIT, SOCKET_UNIT};
use file::OwnFile;
pub use file::Written;
pub use found::Found;

/// Whether systemd's files are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Units {
    /// A service, started by its socket or by the session bus.
    Written,
    /// None: the session bus starts the program itself, or clients do.
    Left,
}

/// What is to be written where.
#[derive(Debug)]
pub struct Installation {
    files: Vec<(OwnFile, String)>,
    conflicts: Vec<Conflict>,
}

/// What became of the files at a removal.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "told in words, each")]
pub enum Removal {
    /// It was ours and is gone.
    Removed(PathBuf),
    /// Another program's file that ours had taken the place of is back.
    Restored(PathBuf),
    /// It is not ours, and still there.
    Left(PathBuf),
}

impl Installation {
    /// Plans to start `program`, which must be an absolute path, for the user of this environment.
    /// Nothing is changed yet.
    ///
    /// # Errors
    /// `Internal` if there is no home directory, a directory cannot be read, or the program's path
    /// cannot be written in such files.
    pub fn plan(environment: &Environment, program: &Path, units: Units) -> Result<Self> {
        let places = Places::of(environment)?;
        let program = contents::quoted(program)?;
        let mut files = vec![(places.activation(), contents::activation(&program, units))];
        if units == Units::Written {
            files.push((places.unit(SERVICE_UNIT), contents::service(&program)));
            files.push((places.unit(SOCKET_UNIT), contents::socket()));
        }
        let mut conflicts = Vec::new();
        for (file, _) in &files {
            conflicts.extend(file.stranger()?.map(Conflict::InOurPlace));
        }
        conflicts.extend(conflict::activated_elsewhere(environment, &places.data));
        Ok(Self { files, conflicts })
    }

    /// What is in the way: with another broker on the bus, programs would find one or the other.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// The refusal to install beside another broker.
    #[must_use]
    pub fn refusal(conflicts: &[Conflict]) -> Error {
        let said: Vec<String> = conflicts.iter().map(Conflict::to_string).collect();
        let stays = conflicts.iter().find_map(|conflict| match conflict {
            Conflict::Activated { file, .. } if !conflict.gives_way() => Some(file),
            _ => None,
        });
        let hint = match stays {
            Some(file) => {
                format!("--force cannot help: move {} elsewhere, then try again", file.display())
            }
            None => {
                "to put ours before it, add --force; `keybearer broker uninstall` brings it back"
                    .to_owned()
            }
        };
        Error::internal(format!("install the broker: {}", said.join("; "))).with_hint(hint)
    }

    /// Writes the files, each whole or not at all. Another program's file in the place of one is
    /// moved aside, and [`uninstall`](Self::remove) moves it back.
    ///
    /// # Errors
    /// `Internal`, naming the file that could not be written.
    pub fn write(&self) -> Result<Vec<Written>> {
        self.files.iter().map(|(file, content)| file.write(content)).collect()
    }

    /// Removes what [`write`](Self::write) wrote, with the directories it made and the links that
    /// `systemctl enable` made. What it did not write stays.
    ///
    /// # Errors
    /// `Internal`, naming the file that could not be removed.
    pub fn remove(environment: &Environment) -> Result<Vec<Removal>> {
        let places = Places::of(environment)?;
        let units = [places.unit(SOCKET_UNIT), places.unit(SERVICE_UNIT)];
        let mut removed = Vec::new();
        for unit in &units {
            removed.extend(places.remove_links(unit)?);
        }
        for file in units.iter().chain([&places.activation()]) {
            removed.extend(file.remove()?);
        }
        Ok(removed)
    }
}

/// The user's directories that hold such files.
#[derive(Debug)]
struct Places {
    data: PathBuf,
    config: PathBuf,
}

impl Places {
    fn of(environment: &Environment) -> Result<Self> {
        let base = |name: &str, below_home: &str| {
            let absolute =
                |name: &str| environment.value(name).map(Path::new).filter(|p| p.is_absolute());
            let home = || absolute("HOME").map(|home| home.join(below_home));
            absolute(name).map(Path::to_owned).or_else(home).ok_or_else(|| {
                Error::internal(format!("find the directory of {name}"))
                    .with_hint("set HOME to your home directory")
            })
        };
        Ok(Self {
            data: base("XDG_DATA_HOME", ".local/share")?,
            config: base("XDG_CONFIG_HOME", ".config")?,
        })
    }

    /// D-Bus Specification, "Message Bus Starting Services".
    fn activation(&self) -> OwnFile {
        OwnFile::new(self.data.join("dbus-1/services").join(contents::ACTIVATION_FILE))
    }

    /// systemd.unit(5): where packages in a home directory put their units.
    fn unit(&self, name: &str) -> OwnFile {
        OwnFile::new(self.data.join("systemd/user").join(name))
    }

    /// `systemctl --user enable` links a unit into the directory of what wants it.
    fn remove_links(&self, unit: &OwnFile) -> Result<Vec<Removal>> {
        let mut removed = Vec::new();
        let wanted_by = self.config.join("systemd/user/sockets.target.wants");
        let link = wanted_by.join(unit.name());
        if std::fs::read_link(&link).is_ok_and(|target| target == unit.path()) {
            std::fs::remove_file(&link).map_err(|error| file::failed("remove", &link, error))?;
            removed.push(Removal::Removed(link));
            // As `systemctl disable` does; it stays if there is more in it.
            let _ = std::fs::remove_dir(wanted_by);
        }
        Ok(removed)
    }
}

/// Makes the bus at `address` read its activation files anew, since it does not watch directories
/// that were not there when it started. Returns whether it then knows how to start a broker: it has
/// an environment of its own, and may look elsewhere than where we wrote.
///
/// # Errors
/// `Unavailable(Broker)` if it does not answer within `limit`.
pub async fn reload_bus(address: &str, limit: Duration) -> Result<bool> {
    const BUS: &str = "org.freedesktop.DBus";
    let reloading = async {
        let bus = zbus::connection::Builder::address(address).build().await?;
        let ask =
            |method| bus.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), method, &());
        ask("ReloadConfig").await?;
        let names: Vec<String> = ask("ListActivatableNames").await?.body().deserialize()?;
        Ok::<bool, zbus::Error>(names.iter().any(|name| name == BUS_NAME))
    };
    let failed = || Error::unavailable(Missing::Broker, "tell the session bus about the broker");
    match timeout(limit, reloading).await {
        Ok(Ok(known)) => Ok(known),
        Ok(Err(error)) => Err(failed().with_source(error)),
        Err(_) => Err(failed()),
    }
}
