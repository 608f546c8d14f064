//! How work in the background wakes an event loop of any kind: it ends a socket. No thread of ours
//! enters the interpreter to say that something is done: it may be on its way out.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

#[cfg(unix)]
use std::os::fd::OwnedFd as OwnedSocket;
#[cfg(unix)]
pub(crate) use std::os::fd::RawFd as RawSocket;
#[cfg(windows)]
use std::os::windows::io::OwnedSocket;
#[cfg(windows)]
pub(crate) use std::os::windows::io::RawSocket;

/// What the requests of one event loop ring when they are done.
#[pyclass(module = "keybearer._native", frozen)]
pub(crate) struct CompletionSocket(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    done: Vec<usize>,
    waker: Option<OwnedSocket>,
}

#[pymethods]
impl CompletionSocket {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    /// The requests that are done, since the last call, by their numbers.
    fn rung(&self) -> Vec<usize> {
        let mut state = locked(&self.0);
        state.waker = None;
        std::mem::take(&mut state.done)
    }
}

impl CompletionSocket {
    /// A socket that the caller owns and that ends as soon as there is something in `rung`.
    pub(crate) fn listen(&self) -> io::Result<RawSocket> {
        let (waker, waiting) = pair()?;
        let mut state = locked(&self.0);
        state.waker = Some(waker).filter(|_| state.done.is_empty());
        Ok(waiting)
    }

    /// What rings for the request of that number when it is dropped.
    pub(crate) fn rope(&self, number: usize) -> Rope {
        Rope { bell: Arc::clone(&self.0), number }
    }
}

/// Rings the bell when dropped.
pub(crate) struct Rope {
    bell: Arc<Mutex<State>>,
    number: usize,
}

impl Drop for Rope {
    fn drop(&mut self) {
        let mut state = locked(&self.bell);
        state.done.push(self.number);
        state.waker = None;
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One end to drop when the work is done, and the other, which the caller has to close.
#[cfg(unix)]
pub(crate) fn pair() -> io::Result<(OwnedSocket, RawSocket)> {
    use std::os::fd::IntoRawFd as _;
    let (waker, waiting) = std::os::unix::net::UnixStream::pair()?;
    Ok((waker.into(), waiting.into_raw_fd()))
}

/// One end to drop when the work is done, and the other, which the caller has to close.
#[cfg(windows)]
pub(crate) fn pair() -> io::Result<(OwnedSocket, RawSocket)> {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::windows::io::IntoRawSocket as _;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let waiting = TcpStream::connect(listener.local_addr()?)?;
    let (waker, peer) = listener.accept()?;
    // Anyone on this machine could have come first.
    if peer != waiting.local_addr()? {
        return Err(io::Error::other("another program connected to the socket of a request"));
    }
    Ok((waker.into(), waiting.into_raw_socket()))
}
