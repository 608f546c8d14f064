//! A socket by which background work wakes an event loop of any kind: it is closed when the work is
//! done. The background threads never enter the interpreter, because it may be finalizing.

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

/// Collects the finished requests of one event loop and wakes the loop.
#[pyclass(module = "keybearer._native", frozen)]
pub(crate) struct CompletionSocket(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The requests that have finished since the last `take_finished`.
    finished: Vec<usize>,
    /// Wakes the listening task when dropped.
    waker: Option<OwnedSocket>,
}

#[pymethods]
impl CompletionSocket {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    /// Return the numbers of the requests that have finished since the last call.
    fn take_finished(&self) -> Vec<usize> {
        let mut state = locked(&self.0);
        state.waker = None;
        std::mem::take(&mut state.finished)
    }
}

impl CompletionSocket {
    /// A socket that the caller must close. It reaches its end of file when a request has finished.
    pub(crate) fn listen(&self) -> io::Result<RawSocket> {
        let (waker, waiting) = pair()?;
        let mut state = locked(&self.0);
        state.waker = Some(waker).filter(|_| state.finished.is_empty());
        Ok(waiting)
    }

    /// A guard that reports the request of this number as finished when it is dropped.
    pub(crate) fn sender(&self, number: usize) -> CompletionSender {
        CompletionSender { state: Arc::clone(&self.0), number }
    }
}

/// Reports one request as finished when dropped.
pub(crate) struct CompletionSender {
    state: Arc<Mutex<State>>,
    number: usize,
}

impl Drop for CompletionSender {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        state.finished.push(self.number);
        state.waker = None;
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end to drop when the work is done, and the end to wait on, which the caller must close.
#[cfg(unix)]
pub(crate) fn pair() -> io::Result<(OwnedSocket, RawSocket)> {
    use std::os::fd::IntoRawFd as _;
    let (waker, waiting) = std::os::unix::net::UnixStream::pair()?;
    Ok((waker.into(), waiting.into_raw_fd()))
}

/// The end to drop when the work is done, and the end to wait on, which the caller must close.
#[cfg(windows)]
pub(crate) fn pair() -> io::Result<(OwnedSocket, RawSocket)> {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::windows::io::IntoRawSocket as _;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let waiting = TcpStream::connect(listener.local_addr()?)?;
    let (waker, peer) = listener.accept()?;
    // Any program on this machine could have connected to the port first.
    if peer != waiting.local_addr()? {
        return Err(io::Error::other("another program connected to the socket of a request"));
    }
    Ok((waker.into(), waiting.into_raw_socket()))
}
