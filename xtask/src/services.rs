//! Servers that run while a command works. They are stopped in the reverse order of their start.

use crate::process;
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a server may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long a server may take until it is ready.
const START: Duration = Duration::from_secs(120);

/// Running servers, oldest first. Servers that [`stop`](Self::stop) did not stop are killed on drop.
#[derive(Debug, Default)]
pub(crate) struct Services(Vec<Service>);

#[derive(Debug)]
struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Services {
    /// Starts a server with its output in `log`, and waits until `probe` finds it ready.
    pub(crate) async fn start<T>(
        &mut self,
        name: &'static str,
        command: &mut Command,
        log: &Path,
        probe: impl AsyncFnMut() -> Option<T>,
    ) -> Result<T> {
        let output =
            File::create(log).with_context(|| format!("could not create {}", log.display()))?;
        command.stdout(output.try_clone()?).stderr(output);
        let child = process::spawn(command)?;
        self.0.push(Service { name, child, log: log.to_owned() });
        self.wait_until_ready(probe).await
    }

    async fn wait_until_ready<T>(
        &mut self,
        mut probe: impl AsyncFnMut() -> Option<T>,
    ) -> Result<T> {
        let service = self.0.last_mut().context("no server was started")?;
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(ready) = probe().await {
                return Ok(ready);
            }
            if let Some(status) = service.child.try_wait()? {
                bail!(
                    "{} ended with {status}; the end of its log:\n{}",
                    service.name,
                    service.log_tail()
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "{} was not ready after {START:?}; the end of its log:\n{}",
            service.name,
            service.log_tail()
        )
    }

    /// Stops the servers, the newest first, and returns their names.
    pub(crate) async fn stop(&mut self) -> Vec<&'static str> {
        let mut stopped = Vec::new();
        while let Some(mut service) = self.0.pop() {
            service.stop().await;
            stopped.push(service.name);
        }
        stopped
    }
}

impl Service {
    async fn stop(&mut self) {
        #[cfg(unix)]
        process::signal_group(&self.child, rustix::process::Signal::TERM);
        #[cfg(not(unix))]
        let _ = self.child.start_kill();
        if timeout(GRACE, self.child.wait()).await.is_err() {
            eprintln!("{} did not end within {GRACE:?} and was killed", self.name);
            #[cfg(unix)]
            process::signal_group(&self.child, rustix::process::Signal::KILL);
            // The process is dead in either case, so an error of the wait changes nothing.
            let _ = self.child.kill().await;
        }
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
