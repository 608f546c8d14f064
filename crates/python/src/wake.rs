//! A pair of sockets by which work in the background wakes an event loop of any kind.

use std::io;

#[cfg(unix)]
pub(crate) type RawSocket = std::os::fd::RawFd;
#[cfg(windows)]
pub(crate) type RawSocket = std::os::windows::io::RawSocket;

/// One end to drop when the work is done, and the other, which the caller has to close.
#[cfg(unix)]
pub(crate) fn pair() -> io::Result<(impl Send, RawSocket)> {
    use std::os::fd::IntoRawFd as _;
    let (waker, waiting) = std::os::unix::net::UnixStream::pair()?;
    Ok((waker, waiting.into_raw_fd()))
}

/// One end to drop when the work is done, and the other, which the caller has to close.
#[cfg(windows)]
pub(crate) fn pair() -> io::Result<(impl Send, RawSocket)> {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::windows::io::IntoRawSocket as _;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let waiting = TcpStream::connect(listener.local_addr()?)?;
    let (waker, peer) = listener.accept()?;
    // Anyone on this machine could have come first.
    if peer != waiting.local_addr()? {
        return Err(io::Error::other("another program connected to the socket of a request"));
    }
    Ok((waker, waiting.into_raw_socket()))
}
