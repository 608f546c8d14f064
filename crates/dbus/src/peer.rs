//! The process at the other end, as the operating system reports it.

use std::os::fd::AsFd;
use std::path::PathBuf;

use keybearer_core::{Error, Process, Result};
use zbus::Connection;
use zbus::fdo::ConnectionCredentials;

/// The user this process acts as.
pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The process that connected a socket, by `SO_PEERCRED`.
pub(crate) fn of_socket(socket: impl AsFd) -> Result<Process> {
    let credentials = rustix::net::sockopt::socket_peercred(socket).map_err(|error| {
        Error::internal("could not read the credentials of the peer of a socket").with_source(error)
    })?;
    Ok(process(credentials.pid.as_raw_pid().unsigned_abs(), credentials.uid.as_raw()))
}

/// The process behind a name on the bus, by what the bus says of it; `None` if the bus does not
/// know the user.
pub(crate) async fn of_bus_name(bus: &Connection, name: &str) -> Result<Option<Process>> {
    let reply = call_bus(bus, "GetConnectionCredentials", &name).await;
    let body = reply.map_err(|error| {
        Error::internal("could not get the credentials of a connection from the bus")
            .with_source(error)
    })?;
    let credentials: ConnectionCredentials = body.body().deserialize().map_err(|error| {
        Error::protocol("connection credentials from the bus", "something else").with_source(error)
    })?;
    let pid = credentials.process_id().unwrap_or(0);
    Ok(credentials.unix_user_id().map(|uid| process(pid, uid)))
}

/// Calls a method of the bus itself.
pub(crate) async fn call_bus<B>(
    bus: &Connection,
    method: &str,
    body: &B,
) -> zbus::Result<zbus::Message>
where
    B: serde::Serialize + zbus::DynamicType,
{
    let name = "org.freedesktop.DBus";
    bus.call_method(Some(name), "/org/freedesktop/DBus", Some(name), method, body).await
}

/// Whether access is between processes of one user (promise I2). An unknown user is another.
pub(crate) const fn same_user(own: u32, other: Option<u32>) -> bool {
    matches!(other, Some(other) if other == own)
}

fn process(pid: u32, uid: u32) -> Process {
    Process { pid, uid, executable: executable(pid) }
}

fn executable(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn i2_another_or_an_unknown_user_is_refused() {
        assert!(same_user(1000, Some(1000)));
        assert!(!same_user(1000, Some(1001)));
        assert!(!same_user(1000, Some(0)));
        assert!(!same_user(1000, None));
    }

    #[test]
    fn the_peer_of_a_socket_is_known_by_user_process_and_program() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = of_socket(&one).unwrap();
        assert_eq!((peer.uid, peer.pid), (own_uid(), std::process::id()));
        assert_eq!(peer.executable, std::env::current_exe().ok());
    }
}
