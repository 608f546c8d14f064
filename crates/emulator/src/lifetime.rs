//! When the program ends: at a signal, or with the process that started it.

use std::io;

/// Waits for SIGTERM, SIGINT or, if `with_parent`, for the parent's end.
pub(crate) fn wait(with_parent: bool) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            tokio::select! {
                ended = signalled() => ended,
                () = orphaned(), if with_parent => Ok(()),
            }
        })
}

#[cfg(unix)]
async fn signalled() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

#[cfg(not(unix))]
async fn signalled() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// A process whose parent has ended gets another one. Looking is simpler than every way of being
/// told: it needs no cooperation of the parent, and works on every Unix.
#[cfg(unix)]
async fn orphaned() {
    let parent = rustix::process::getppid();
    while parent == rustix::process::getppid() {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// Elsewhere the parent holds our standard input open.
#[cfg(not(unix))]
async fn orphaned() {
    let read = || io::copy(&mut io::stdin(), &mut io::sink());
    // Not being able to read is also the end.
    let _ = tokio::task::spawn_blocking(read).await;
}
