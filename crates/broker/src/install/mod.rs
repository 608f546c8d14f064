//! The files with which the session bus and systemd start the broker for this user. They are planned
//! first, then written; `uninstall` removes all of them.

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

/// Whether unit files for systemd are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Units {
    /// A service unit and a socket unit; the socket or the session bus starts the service.
    Written,
    /// No units: the session bus or a client starts the program itself.
    Left,
}

/// The files to write, and what conflicts with them.
#[derive(Debug)]
pub struct Installation {
    files: Vec<(OwnFile, String)>,
    conflicts: Vec<Conflict>,
}

/// What happened to a file when the broker was uninstalled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Removal {
    /// It was ours, and was removed.
    Removed(PathBuf),
    /// It is another program's file, which ours had replaced, and was restored.
    Restored(PathBuf),
    /// It is not ours, and was left alone.
    Left(PathBuf),
}

impl Installation {
    /// Plans the files that start `program`, which must be an absolute path, for the user of this
    /// environment. Changes nothing.
    ///
    /// # Errors
    /// `Internal` if there is no home directory, a directory cannot be read, or the program's path
    /// has characters that such files cannot contain.
    pub fn plan(environment: &Environment, program: &Path, units: Units) -> Result<Self> {
        let directories = Directories::of(environment)?;
        let program = contents::quoted(program)?;
        let mut files = vec![(directories.activation(), contents::activation(&program, units))];
        if units == Units::Written {
            files.push((directories.unit(SERVICE_UNIT), contents::service(&program)));
            files.push((directories.unit(SOCKET_UNIT), contents::socket()));
        }
        let mut conflicts = Vec::new();
        for (file, _) in &files {
            conflicts.extend(file.foreign()?.map(Conflict::PathOccupied));
        }
        conflicts.extend(conflict::activated_elsewhere(environment, &directories.data));
        Ok(Self { files, conflicts })
    }

    /// What conflicts: with two brokers on the bus, programs would find one or the other.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// The error that refuses to install beside another broker.
    #[must_use]
    pub fn refusal(conflicts: &[Conflict]) -> Error {
        let reasons: Vec<String> = conflicts.iter().map(Conflict::to_string).collect();
        let stays = conflicts.iter().find_map(|conflict| match conflict {
            Conflict::Activated { file, .. } if !conflict.gives_way() => Some(file),
            _ => None,
        });
        let hint = match stays {
            Some(file) => {
                format!("move {} elsewhere, then try again; --force does not help", file.display())
            }
            None => {
                "add --force to take precedence; `keybearer broker uninstall` restores the other broker"
                    .to_owned()
            }
        };
        Error::internal(format!("could not install the broker: {}", reasons.join("; ")))
            .with_hint(hint)
    }

    /// Writes the files, each atomically. A file of another program at the same path is renamed, and
    /// [`remove`](Self::remove) restores it.
    ///
    /// # Errors
    /// `Internal` with the file that could not be written.
    pub fn write(&self) -> Result<Vec<Written>> {
        self.files.iter().map(|(file, content)| file.write(content)).collect()
    }

    /// Removes the files that [`write`](Self::write) wrote, the directories that it made, and the links
    /// that `systemctl enable` made. Other files stay.
    ///
    /// # Errors
    /// `Internal` with the file that could not be removed.
    pub fn remove(environment: &Environment) -> Result<Vec<Removal>> {
        let directories = Directories::of(environment)?;
        let units = [directories.unit(SOCKET_UNIT), directories.unit(SERVICE_UNIT)];
        let mut removed = Vec::new();
        for unit in &units {
            removed.extend(directories.remove_links(unit)?);
        }
        for file in units.iter().chain([&directories.activation()]) {
            removed.extend(file.remove()?);
        }
        Ok(removed)
    }
}

/// The user's directories for such files.
#[derive(Debug)]
struct Directories {
    data: PathBuf,
    config: PathBuf,
}

impl Directories {
    fn of(environment: &Environment) -> Result<Self> {
        let base = |name: &str, below_home: &str| {
            let absolute =
                |name: &str| environment.value(name).map(Path::new).filter(|p| p.is_absolute());
            let home = || absolute("HOME").map(|home| home.join(below_home));
            absolute(name).map(Path::to_owned).or_else(home).ok_or_else(|| {
                Error::internal(format!("could not find the directory of {name}"))
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
            // As `systemctl disable` does; this fails if the directory is not empty.
            let _ = std::fs::remove_dir(wanted_by);
        }
        Ok(removed)
    }
}

/// Makes the bus at `address` read its activation files again, because it does not watch directories
/// that did not exist when it started. Returns whether the bus can start a broker now: the bus has
/// its own environment, and may look in other directories than those we wrote to.
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
    let failed = || {
        Error::unavailable(Missing::Broker, "could not reload the session bus")
            .with_hint("log out and in again")
    };
    match timeout(limit, reloading).await {
        Ok(Ok(known)) => Ok(known),
        Ok(Err(error)) => Err(failed().with_source(error)),
        Err(_) => Err(failed()),
    }
}
