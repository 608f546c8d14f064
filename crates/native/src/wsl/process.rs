//! One process for one answer, killed with everything it started if the caller does not wait for it.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The most a reply may hold, in bytes. Real ones stay below 20 kB.
const MAX_REPLY: usize = 4 << 20;

/// How much of the error output is looked at, in bytes.
const MAX_NOISE: usize = 8 << 10;

/// How long the processes that the program started may keep its output open after its end.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// What a program left behind.
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Why there is no output.
#[derive(Debug)]
pub(super) enum Failure {
    Start(io::Error),
    TooMuch,
    Unreadable(io::Error),
}

impl Output {
    /// What WSL itself says about not reaching Windows. Other lines are not repeated: they are the
    /// program's, and may hold anything (promise I5).
    pub(super) fn error_of_wsl(&self) -> Option<String> {
        const LONGEST: usize = 200;
        let text = String::from_utf8_lossy(&self.stderr);
        let line = text.lines().find(|line| line.contains("WSL (") && line.contains("ERROR"))?;
        Some(line.chars().filter(|c| !c.is_control()).take(LONGEST).collect())
    }
}

/// The text of an output without the carriage returns, NULs and byte order mark that Windows
/// programs put in. None of them can be a part of JSON.
pub(super) fn clean(output: &[u8]) -> Option<String> {
    let kept = output.iter().copied().filter(|byte| !matches!(byte, 0 | b'\r')).collect();
    let text = String::from_utf8(kept).ok()?;
    Some(text.trim_start_matches('\u{feff}').trim().to_owned())
}

/// Runs `program` to its end, without a shell and without access to the input and output of this process. Dropping
/// the future kills it and everything it started.
pub(super) async fn run<A: AsRef<OsStr>>(
    program: &Path,
    arguments: &[A],
) -> Result<Output, Failure> {
    Running::start(program, arguments).map_err(Failure::Start)?.output().await
}

/// Starts `program` and leaves it alone, for when there is no runtime any more to wait with.
pub(super) fn start_and_leave<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) {
    let started = std::process::Command::new(program)
        .args(arguments)
        .current_dir(program.parent().unwrap_or_else(|| Path::new("/")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = started {
        tracing::debug!(%error, "could not start {}", program.display());
    }
}

/// A process and all it started, ended when dropped.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    fn start<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> io::Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            // Windows has to be able to name the directory; one of Linux's it may not.
            .current_dir(program.parent().unwrap_or_else(|| Path::new("/")))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self { child, group: id.and_then(Pid::from_raw) })
    }

    async fn output(&mut self) -> Result<Output, Failure> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let (mut answer, mut noise) = (Kept::new(MAX_REPLY), Kept::new(MAX_NOISE));
        let status = {
            let reading = async { tokio::join!(answer.read(stdout), noise.read(stderr)) };
            tokio::pin!(reading);
            tokio::select! {
                (read, _) = &mut reading => {
                    read.map_err(Failure::Unreadable)?;
                    self.child.wait().await
                }
                status = self.child.wait() => {
                    let rest = timeout(OUTPUT_GRACE, &mut reading).await;
                    if let Ok((Err(error), _)) = rest {
                        return Err(Failure::Unreadable(error));
                    }
                    if rest.is_ok() {
                        // No process of the group keeps the output open, and another group may get
                        // its number from now on.
                        self.group = None;
                    }
                    status
                }
            }
        };
        if answer.dropped {
            return Err(Failure::TooMuch);
        }
        let status = status.map_err(Failure::Unreadable)?;
        Ok(Output { status, stdout: answer.bytes, stderr: noise.bytes })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The first bytes of a stream, which is read to its end so that the writer is never held up.
struct Kept {
    bytes: Vec<u8>,
    most: usize,
    dropped: bool,
}

impl Kept {
    const fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, dropped: false }
    }

    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) -> io::Result<()> {
        let Some(mut stream) = stream else { return Ok(()) };
        // On the heap: futures hold it, and are moved about.
        let mut chunk = vec![0; 8192];
        loop {
            let length = stream.read(&mut chunk).await?;
            if length == 0 {
                return Ok(());
            }
            let room = self.most - self.bytes.len();
            self.bytes.extend_from_slice(&chunk[..length.min(room)]);
            self.dropped |= length > room;
        }
    }
}
