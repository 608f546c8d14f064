//! Which user is at the other end of a TCP connection on the loopback interface (promise I11).
//!
//! Every user of a machine can connect to a loopback port, and TCP carries no credentials. The
//! kernel knows the owner of each socket, so it is asked for the owner of the peer's socket:
//! through `sock_diag` (see `sock_diag(7)`), or, where that is not permitted, from the tables in
//! `/proc/net` (see `proc_net(5)`).
//!
//! A socket that its process has closed already is reported as owned by root on many kernels, and a
//! connection in `TIME_WAIT` always is. Such a socket has no inode, so an owner counts only if the
//! kernel names an inode as well.

mod proc_net;
mod sock_diag;

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Whether a listener may serve the peer of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
#[non_exhaustive]
pub enum Peer {
    /// The peer's socket belongs to this user.
    ThisUser,
    /// The peer's socket belongs to root. Keybearer does not defend against root, and relays run as
    /// root: WSL's localhost relay, a container's port proxy.
    Root,
    /// The peer's socket belongs to the user with this id.
    OtherUser(u32),
    /// The kernel does not know an owner: the peer has closed its socket, or the owner cannot be
    /// looked up here.
    Unknown,
}

impl Peer {
    /// Looks up the owner of the peer of a connection; `local` is the address of this end.
    ///
    /// Takes microseconds where `sock_diag` is permitted. Elsewhere it reads a table that has a line
    /// for each connection of the machine.
    pub fn of(local: SocketAddr, peer: SocketAddr) -> Self {
        let (local, peer) = (canonical(local), canonical(peer));
        let found = sock_diag::find(local, peer).or_else(|error| {
            tracing::debug!(%error, "could not ask sock_diag; reading /proc/net instead");
            proc_net::find(local, peer)
        });
        match found {
            Ok(socket) => Self::from_socket(socket, rustix::process::geteuid().as_raw()),
            Err(error) => {
                tracing::warn!(%error, "could not look up the user of a connection");
                Self::Unknown
            }
        }
    }

    fn from_socket(socket: Option<Socket>, own: u32) -> Self {
        match socket {
            None | Some(Socket { inode: 0, .. }) => Self::Unknown,
            Some(Socket { uid, .. }) if uid == own => Self::ThisUser,
            Some(Socket { uid: 0, .. }) => Self::Root,
            Some(Socket { uid, .. }) => Self::OtherUser(uid),
        }
    }

    /// Whether a listener of this user serves the peer.
    #[must_use]
    pub const fn is_served(self) -> bool {
        matches!(self, Self::ThisUser | Self::Root)
    }
}

/// What the kernel says of the peer's socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Socket {
    uid: u32,
    /// Zero if no process has the socket any more.
    inode: u32,
}

/// An IPv4 address that a dual-stack socket reports as IPv6 is written as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The sixteen bytes of an address in network order, as the kernel's structures hold it.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&ip.octets());
            octets
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};

    use super::*;

    type Find = fn(SocketAddr, SocketAddr) -> io::Result<Option<Socket>>;

    const WAYS: [(&str, Find); 2] = [("sock_diag", sock_diag::find), ("/proc/net", proc_net::find)];

    fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn listener(ip: IpAddr) -> Option<TcpListener> {
        TcpListener::bind((ip, 0)).ok()
    }

    fn ends(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
        (canonical(stream.local_addr().unwrap()), canonical(stream.peer_addr().unwrap()))
    }

    #[test]
    fn the_owner_of_the_other_end_is_found_in_both_ways_for_both_families_inv_i11() {
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let Some(listener) = listener(ip) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            let (local, peer) = ends(&server);
            for (way, find) in WAYS {
                let socket = find(local, peer).unwrap().unwrap_or_else(|| panic!("{way} {ip}"));
                assert_eq!(socket.uid, own_uid(), "{way} {ip}");
                assert_ne!(socket.inode, 0, "{way} {ip}");
            }
            assert_eq!(Peer::of(local, peer), Peer::ThisUser);
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(Peer::of(local, peer), Peer::ThisUser, "half closed, and still there");
        }
    }

    #[test]
    fn an_ipv4_client_of_a_dual_stack_socket_is_found() {
        let listener = listener(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let Ok(_client) = TcpStream::connect((mapped, port)) else { return };
        let (server, _) = listener.accept().unwrap();
        let (local, peer) = ends(&server);
        for (way, find) in WAYS {
            assert_eq!(
                find(local, peer).unwrap().map(|socket| socket.uid),
                Some(own_uid()),
                "{way}"
            );
        }
    }

    #[test]
    fn a_peer_that_has_closed_its_socket_has_no_owner() {
        let listener = listener(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let (local, peer) = ends(&server);
        drop(client);
        for (way, find) in WAYS {
            let found = Peer::from_socket(find(local, peer).unwrap(), own_uid());
            assert_eq!(found, Peer::Unknown, "{way}");
        }
    }

    #[test]
    fn a_listener_on_the_port_of_the_peer_is_not_taken_for_the_peer() {
        let first = listener(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let second = listener(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let (local, peer) = (first.local_addr().unwrap(), second.local_addr().unwrap());
        for (way, find) in WAYS {
            assert_eq!(find(local, peer).unwrap(), None, "{way}");
        }
    }

    #[test]
    fn only_this_user_and_root_are_served() {
        let peer = |uid, inode| Peer::from_socket(Some(Socket { uid, inode }), 1000);
        for (peer, expected, served) in [
            (peer(1000, 7), Peer::ThisUser, true),
            (peer(0, 7), Peer::Root, true),
            (peer(0, 0), Peer::Unknown, false),
            (peer(1000, 0), Peer::Unknown, false),
            (peer(65534, 7), Peer::OtherUser(65534), false),
            (Peer::from_socket(None, 1000), Peer::Unknown, false),
        ] {
            assert_eq!((peer, peer.is_served()), (expected, served));
        }
    }

    /// Needs root, to become another user.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_of_another_user_is_told_apart_inv_i11() {
        use std::os::unix::process::CommandExt;
        use std::process::{Command, Stdio};
        if own_uid() != 0 {
            eprintln!("NOT RUN: becoming another user needs root");
            return;
        }
        let listener = listener(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut other = Command::new("bash")
            .args(["-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read -r line")])
            .uid(65534)
            .gid(65534)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let (server, _) = listener.accept().unwrap();
        let (local, peer) = ends(&server);
        for (way, find) in WAYS {
            let found = Peer::from_socket(find(local, peer).unwrap(), own_uid());
            assert_eq!(found, Peer::OtherUser(65534), "{way}");
        }
        // Its socket without a process must not pass for root's.
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(Peer::of(local, peer), Peer::Unknown);
    }
}
