//! The tables of TCP connections in `/proc/net`, `proc_net(5)`: for where `sock_diag` is not
//! permitted, such as in some containers.

use std::fs::File;
use std::io::{self, BufReader};
use std::net::{IpAddr, SocketAddr};

use super::{Socket, octets};

/// The socket whose own address is `peer` and whose peer is `local`.
pub(super) fn find(local: SocketAddr, peer: SocketAddr) -> io::Result<Option<Socket>> {
    // A dual-stack socket stands in the table of IPv6 with a mapped address.
    let tables = match (local.ip(), peer.ip()) {
        (IpAddr::V4(own), IpAddr::V4(other)) => vec![
            ("/proc/net/tcp", (local, peer)),
            (
                "/proc/net/tcp6",
                (
                    SocketAddr::new(own.to_ipv6_mapped().into(), local.port()),
                    SocketAddr::new(other.to_ipv6_mapped().into(), peer.port()),
                ),
            ),
        ],
        _ => vec![("/proc/net/tcp6", (local, peer))],
    };
    let mut failure = None;
    for (table, (local, peer)) in tables {
        match File::open(table).map(BufReader::new).and_then(|table| look_up(table, local, peer)) {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            // A machine without IPv6 has no such table.
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(None),
    }
}

fn look_up(
    table: impl io::BufRead,
    local: SocketAddr,
    peer: SocketAddr,
) -> io::Result<Option<Socket>> {
    let (own, other) = (written(peer), written(local));
    for line in table.lines() {
        let line = line?;
        // sl local_address rem_address st queues timer retransmits uid timeout inode
        let mut columns = line.split_ascii_whitespace().skip(1);
        if columns.next() != Some(&*own) || columns.next() != Some(&*other) {
            continue;
        }
        let mut numbers = columns.skip(4).map(str::parse);
        if let (Some(Ok(uid)), Some(Ok(inode))) = (numbers.next(), numbers.nth(1)) {
            return Ok(Some(Socket { uid, inode }));
        }
    }
    Ok(None)
}

/// An address as the kernel prints it: words of the host's byte order, in hexadecimal digits.
fn written(address: SocketAddr) -> String {
    let length = if address.is_ipv4() { 4 } else { 16 };
    let mut text = String::new();
    for word in octets(address.ip())[..length].chunks_exact(4) {
        let word = word.try_into().map_or(0, u32::from_ne_bytes);
        text.push_str(&format!("{word:08X}"));
    }
    text.push_str(&format!(":{:04X}", address.port()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_is_found_by_both_ends_and_its_user_and_inode_are_read() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 11 1 0 100 0
   1: 0100007F:C001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 20 4
   2: 0100007F:C002 0100007F:1F90 06 00000000:00000000 03:00000A00 00000000     0        0 0 3 0
";
        let find = |port: u16| {
            let local = SocketAddr::from(([127, 0, 0, 1], 0x1F90));
            look_up(table.as_bytes(), local, SocketAddr::from(([127, 0, 0, 1], port))).unwrap()
        };
        assert_eq!(find(0xC001), Some(Socket { uid: 1000, inode: 4242 }));
        assert_eq!(find(0xC002), Some(Socket { uid: 0, inode: 0 }));
        assert_eq!(find(0xC003), None);
    }
}
