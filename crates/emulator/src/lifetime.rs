//! When the program ends: at a signal, or with the process that started it.

use std::io;

/// The process that started this one.
#[derive(Clone, Copy)]
pub(crate) struct Parent(#[cfg(unix)] Option<rustix::process::Pid>);

impl Parent {
    /// To be asked first thing: a parent that ends before this would not be missed.
    pub(crate) fn current() -> Self {
        Self(
            #[cfg(unix)]
            rustix::process::getppid(),
        )
    }

    /// A process whose parent has ended gets another one. Looking is simpler than every way of
    /// being told: it needs no cooperation of the parent, and works on every Unix.
    #[cfg(unix)]
    async fn ended(self) {
        while self.0 == rustix::process::getppid() {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// Elsewhere the parent holds our standard input open. Not being able to read it is also the end.
    #[cfg(not(unix))]
    async fn ended(self) {
        let read = || io::copy(&mut io::stdin(), &mut io::sink());
        let _ = tokio::task::spawn_blocking(read).await;
    }
}

/// Waits for SIGTERM, SIGINT or, if there is one to wait for, the parent's end.
pub(crate) fn wait(parent: Option<Parent>) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let orphaned = async {
            match parent {
                Some(parent) => parent.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = signalled() => ended,
            () = orphaned => Ok(()),
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
