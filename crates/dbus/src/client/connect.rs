use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use keybearer_core::{Error, Missing, Process, Result};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zbus::names::UniqueName;
use zbus::{Connection, connection};

use super::BrokerProxy;
use crate::caller_ui::ready_to_present;
use crate::interface::BUS_NAME;
use crate::peer;

/// What to do about a broker that is installed on the bus but not running.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Activation {
    /// Start it.
    #[default]
    Start,
    /// Leave it.
    Leave,
}

/// Connecting.
impl BrokerProxy {
    /// Connects to the broker of this user that listens at `path`, within `limit`.
    ///
    /// Before anything is sent, the directory must belong to this user and be closed to others, the socket must belong to this user, and
    /// so must the process behind it (promise I2): another user's program must not be able to
    /// take the broker's place.
    ///
    /// # Errors
    /// `Unavailable`, saying why, in every case.
    pub async fn connect_socket(path: &Path, limit: Duration) -> Result<Self> {
        let own = peer::own_uid();
        check_socket(path, own)?;
        let connecting = async {
            let stream = UnixStream::connect(path).await.map_err(|error| {
                absent(format!("could not connect to the broker's socket {}", path.display()))
                    .with_source(error)
            })?;
            let process = peer::of_socket(&stream)?;
            check_process(own, Some(&process))?;
            let stream = stream.into_std().map_err(handshake_failed)?;
            let builder = connection::Builder::unix_stream(stream).p2p();
            let connection = ready_to_present(builder).build().await;
            Ok((connection.map_err(handshake_failed)?, process))
        };
        let (connection, process) = within(limit, connecting).await?;
        Ok(Self::new(connection, None, "broker on a socket", process))
    }

    /// Connects to the broker on the bus at `address`, such as `unix:path=/run/user/1000/bus`,
    /// within `limit`.
    ///
    /// The owner of the broker's name must be of this user (promise I2); calls then go to that
    /// owner, even if another process takes the name later.
    ///
    /// # Errors
    /// `Unavailable`, saying why, in every case.
    pub async fn connect_bus(
        address: &str,
        activation: Activation,
        limit: Duration,
    ) -> Result<Self> {
        let connecting = async {
            let bus =
                ready_to_present(connection::Builder::address(address)).build().await.map_err(
                    |error| absent("could not connect to the session bus").with_source(error),
                )?;
            if !ask::<bool, _>(&bus, "NameHasOwner", &BUS_NAME).await? {
                start(&bus, activation).await?;
            }
            let owner: String = ask(&bus, "GetNameOwner", &BUS_NAME).await?;
            let process = peer::of_bus_name(&bus, &owner).await?;
            let process = check_process(peer::own_uid(), process.as_ref())?.clone();
            let owner = UniqueName::try_from(owner)
                .map_err(|_| absent("the bus named no owner of the broker's name"))?;
            Ok((bus, owner, process))
        };
        let (bus, owner, process) = within(limit, connecting).await?;
        Ok(Self::new(bus, Some(owner), "broker on the session bus", process))
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| {
        Err(absent(format!("the broker did not answer within {} ms", limit.as_millis())))
    })
}

async fn start(bus: &Connection, activation: Activation) -> Result<()> {
    let installed: Vec<String> = ask(bus, "ListActivatableNames", &()).await?;
    let installed = installed.iter().any(|name| name == BUS_NAME);
    match (installed, activation) {
        (false, _) => Err(absent("no broker is running or installed on the session bus")),
        (true, Activation::Leave) => Err(absent("no broker is running on the session bus")),
        (true, Activation::Start) => {
            peer::call_bus(bus, "StartServiceByName", &(BUS_NAME, 0_u32)).await.map(|_| ()).map_err(
                |error| absent("could not start the broker on the session bus").with_source(error),
            )
        }
    }
}

async fn ask<T, B>(bus: &Connection, method: &str, body: &B) -> Result<T>
where
    T: serde::de::DeserializeOwned + zbus::Type,
    B: serde::Serialize + zbus::DynamicType,
{
    let reply = peer::call_bus(bus, method, body).await;
    reply.and_then(|reply| reply.body().deserialize()).map_err(|error| {
        absent("could not ask the session bus about the broker").with_source(error)
    })
}

fn check_socket(path: &Path, own: u32) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    let metadata = |path: &Path| {
        std::fs::symlink_metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => absent(format!("there is no {}", path.display())),
            _ => absent(format!("could not inspect {}", path.display())).with_source(error),
        })
    };
    if !is_closed_directory(&metadata(directory)?, own) {
        return Err(untrusted("the directory of the broker's socket is open to others", directory));
    }
    if !is_own_socket(&metadata(path)?, own) {
        return Err(untrusted("the broker's socket is not a socket of this user", path));
    }
    Ok(())
}

fn is_closed_directory(directory: &Metadata, own: u32) -> bool {
    let writable_by_others = directory.mode() & 0o022 != 0;
    directory.is_dir() && !writable_by_others && peer::same_user(own, Some(directory.uid()))
}

fn is_own_socket(socket: &Metadata, own: u32) -> bool {
    socket.file_type().is_socket() && peer::same_user(own, Some(socket.uid()))
}

fn untrusted(message: &str, path: &Path) -> Error {
    absent(message).with_hint(format!("check who owns {}", path.display()))
}

fn check_process(own: u32, process: Option<&Process>) -> Result<&Process> {
    match process {
        Some(process) if peer::same_user(own, Some(process.uid)) => Ok(process),
        _ => Err(absent("the program that answers as the broker belongs to another user")),
    }
}

fn absent(message: impl Into<String>) -> Error {
    Error::unavailable(Missing::Broker, message)
}

fn handshake_failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    absent("the process that listens on the broker's socket does not speak D-Bus")
        .with_source(error)
}
