//! The end of the program: at a signal, or with the process that started it.

use std::io;

use tokio::runtime::Runtime;

/// Watches for the end. Create it first: an end before that is not noticed.
pub(crate) struct Lifetime {
    runtime: Runtime,
    signals: Signals,
    parent: Option<Parent>,
}

impl Lifetime {
    /// Catches SIGTERM and SIGINT from now on and, if requested, watches the parent process.
    pub(crate) fn watch(with_parent: bool) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _entered = runtime.enter();
            Signals::catch()?
        };
        Ok(Self { runtime, signals, parent: with_parent.then(Parent::current) })
    }

    /// Waits for a signal or for the end of the parent.
    pub(crate) fn wait(self) {
        let Self { runtime, mut signals, parent } = self;
        runtime.block_on(async {
            let orphaned = async {
                match parent {
                    Some(parent) => parent.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = signals.next() => {}
                () = orphaned => {}
            }
        });
    }
}

#[cfg(unix)]
use unix::{Parent, Signals};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::time::Duration;

    use rustix::process::{Pid, getppid};
    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) struct Signals {
        terminate: Signal,
        interrupt: Signal,
    }

    impl Signals {
        pub(super) fn catch() -> io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        }

        pub(super) async fn next(&mut self) {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
        }
    }

    /// The system gives a process another parent when its parent ends. Polling for that needs no
    /// cooperation of the parent and works on every Unix.
    pub(super) struct Parent(Option<Pid>);

    impl Parent {
        pub(super) fn current() -> Self {
            Self(getppid())
        }

        pub(super) async fn ended(self) {
            while self.0 == getppid() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

#[cfg(not(unix))]
use other::{Parent, Signals};

#[cfg(not(unix))]
mod other {
    use std::io;

    pub(super) struct Signals;

    impl Signals {
        pub(super) fn catch() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) {
            // A failure to listen for Ctrl-C must not end the program.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// The parent keeps this program's standard input open. Its end, or an error, ends the program.
    pub(super) struct Parent;

    impl Parent {
        pub(super) fn current() -> Self {
            Self
        }

        pub(super) async fn ended(self) {
            let read = || io::copy(&mut io::stdin(), &mut io::sink());
            let _ = tokio::task::spawn_blocking(read).await;
        }
    }
}
