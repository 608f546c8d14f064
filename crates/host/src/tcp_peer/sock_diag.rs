//! The kernel's socket diagnostics, `sock_diag(7)`: one question, one answer.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

use super::{Socket, malformed, octets};

/// `SOCK_DIAG_BY_FAMILY`, linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`, linux/netlink.h.
const REQUEST: u16 = 1;
/// `NLMSG_ERROR`, linux/netlink.h.
const ERROR: u16 = 2;
const TCP: u8 = 6;
const HEADER_LENGTH: usize = 16;
const REQUEST_LENGTH: usize = HEADER_LENGTH + 56;
const REPLY_LENGTH: usize = HEADER_LENGTH + 72;
/// Where `struct inet_diag_sockid` begins in the reply, and its part that names the two ends.
const SOCKET_ID: std::ops::Range<usize> = HEADER_LENGTH + 4..HEADER_LENGTH + 4 + 36;
const UID: usize = HEADER_LENGTH + 64;
const INODE: usize = HEADER_LENGTH + 68;
/// The kernel answers while the question is sent; this only keeps a wait from having no limit.
const LIMIT: Duration = Duration::from_secs(1);

/// The socket whose own address is `peer` and whose peer is `local`.
pub(super) fn find(local: SocketAddr, peer: SocketAddr) -> io::Result<Option<Socket>> {
    let flags = SocketFlags::CLOEXEC;
    let netlink = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?;
    set_socket_timeout(&netlink, Timeout::Recv, Some(LIMIT))?;
    let id = socket_id(peer, local);
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&netlink, &request(peer.is_ipv4(), &id), SendFlags::empty(), &kernel)?;
    let mut reply = [0; 512];
    let (length, _) = recv(&netlink, &mut reply, RecvFlags::empty())?;
    read(&reply[..length], &id)
}

/// The ports and addresses of `struct inet_diag_sockid`, linux/inet_diag.h.
fn socket_id(own: SocketAddr, other: SocketAddr) -> [u8; 36] {
    let mut id = [0; 36];
    id[..2].copy_from_slice(&own.port().to_be_bytes());
    id[2..4].copy_from_slice(&other.port().to_be_bytes());
    id[4..20].copy_from_slice(&octets(own.ip()));
    id[20..].copy_from_slice(&octets(other.ip()));
    id
}

/// The same ends with IPv4 addresses written as IPv6, as the kernel names a dual-stack socket.
fn mapped(id: &[u8; 36]) -> [u8; 36] {
    let mut mapped = *id;
    for at in [4, 20] {
        let [a, b, c, d] = [id[at], id[at + 1], id[at + 2], id[at + 3]];
        let address = Ipv4Addr::new(a, b, c, d).to_ipv6_mapped();
        mapped[at..at + 16].copy_from_slice(&address.octets());
    }
    mapped
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(is_ipv4: bool, id: &[u8; 36]) -> [u8; REQUEST_LENGTH] {
    let family = if is_ipv4 { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut message = Vec::with_capacity(REQUEST_LENGTH);
    message.extend((REQUEST_LENGTH as u32).to_ne_bytes());
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // Sequence number and port: there is one question only.
    message.extend([0; 8]);
    message.extend([family.as_raw() as u8, TCP, 0, 0]);
    // In any state.
    message.extend(u32::MAX.to_ne_bytes());
    message.extend(id);
    // On any interface, whatever the cookie.
    message.extend(0_u32.to_ne_bytes());
    message.extend([0xff; 8]);
    let mut fixed = [0; REQUEST_LENGTH];
    fixed.copy_from_slice(&message);
    fixed
}

fn read(reply: &[u8], id: &[u8; 36]) -> io::Result<Option<Socket>> {
    let short = || malformed("the kernel's answer about a socket is too short");
    let kind = reply.get(4..6).ok_or_else(short)?;
    if kind == ERROR.to_ne_bytes() {
        let code = number(reply, HEADER_LENGTH).ok_or_else(short)?;
        let error = io::Error::from_raw_os_error((code as i32).wrapping_neg());
        return match error.kind() {
            io::ErrorKind::NotFound => Ok(None),
            _ => Err(error),
        };
    }
    if kind != BY_FAMILY.to_ne_bytes() || reply.len() < REPLY_LENGTH {
        return Err(malformed("the kernel's answer is not about a socket"));
    }
    // For a connection that has gone, the kernel finds a listener on the same port.
    let found = reply.get(SOCKET_ID);
    if found != Some(id) && found != Some(&mapped(id)) {
        return Ok(None);
    }
    let uid = number(reply, UID).ok_or_else(short)?;
    let inode = number(reply, INODE).ok_or_else(short)?;
    Ok(Some(Socket { uid, inode }))
}

fn number(message: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(message.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_foreign_answers_are_errors_and_no_such_socket_is_none() {
        let id = [7; 36];
        let error = |code: i32| {
            let mut message = vec![0; HEADER_LENGTH];
            message[4..6].copy_from_slice(&ERROR.to_ne_bytes());
            message.extend((-code).to_ne_bytes());
            message
        };
        const NO_SUCH_FILE: i32 = 2;
        const NOT_PERMITTED: i32 = 1;
        assert_eq!(read(&error(NO_SUCH_FILE), &id).unwrap(), None);
        let refused = read(&error(NOT_PERMITTED), &id).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        for odd in [&[][..], &[0; 5], &[0; 200], &error(0)[..HEADER_LENGTH]] {
            assert!(read(odd, &id).is_err(), "{odd:?}");
        }
    }
}
