//! Child processes: run to the end, with their output passed through, kept, or both.

use crate::failure::{Interrupted, MissingTool};
use anyhow::{Context as _, Result, bail};
use std::io::{ErrorKind, Write as _};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A command whose process is killed when it is dropped. It leads a separate process group, so that
/// Ctrl-C reaches only xtask, which stops its children in the right order.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.kill_on_drop(true).stdin(Stdio::null());
    #[cfg(unix)]
    command.process_group(0);
    command
}

/// Runs to the end with inherited output.
pub(crate) async fn run(command: &mut Command) -> Result<()> {
    let mut running = Running(spawn(command)?);
    let status = running.0.wait().await?;
    if !status.success() {
        bail!("{} ended with {status}", command_line(command));
    }
    Ok(())
}

/// What a program printed on stdout, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) success: bool,
}

/// Runs to the end; stdout is passed through line by line and kept. A failure exit is no error here.
pub(crate) async fn tee(command: &mut Command) -> Result<Output> {
    read_lines(command, |line| {
        println!("{line}");
        // A pipe is block buffered; the person waits for these lines.
        std::io::stdout().flush()
    })
    .await
}

/// Runs to the end and returns stdout; a failure exit is an error.
pub(crate) async fn capture(command: &mut Command) -> Result<String> {
    let output = read_lines(command, |_| Ok(())).await?;
    if !output.success {
        bail!("{} failed", command_line(command));
    }
    Ok(output.stdout)
}

async fn read_lines(
    command: &mut Command,
    mut each: impl FnMut(&str) -> std::io::Result<()>,
) -> Result<Output> {
    let mut running = Running(spawn(command.stdout(Stdio::piped()))?);
    let pipe = running.0.stdout.take().context("stdout is not a pipe")?;
    let mut lines = BufReader::new(pipe).split(b'\n');
    let mut stdout = String::new();
    while let Some(line) = lines.next_segment().await? {
        let line = String::from_utf8_lossy(&line);
        each(line.trim_end_matches('\r'))?;
        stdout.push_str(&line);
        stdout.push('\n');
    }
    Ok(Output { stdout, success: running.0.wait().await?.success() })
}

/// A child whose whole process group is ended if it is dropped while it runs.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        #[cfg(unix)]
        signal_group(&self.0, rustix::process::Signal::TERM);
    }
}

/// Signals the child and its children; does nothing once it has been waited for.
#[cfg(unix)]
pub(crate) fn signal_group(child: &Child, signal: rustix::process::Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
        // Fails only when all of them have ended.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Starts a command; a program that does not exist is a [`MissingTool`].
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        if error.kind() == ErrorKind::NotFound {
            MissingTool {
                advice: format!("the program `{program}` is missing; install it or put it on PATH"),
            }
            .into()
        } else {
            anyhow::Error::new(error).context(format!("could not start {program}"))
        }
    })
}

/// Program and arguments; xtask passes no secret as an argument.
fn command_line(command: &Command) -> String {
    let command = command.as_std();
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Runs `work`, or ends with [`Interrupted`] at Ctrl-C or a termination signal. The processes that
/// `work` started are killed; a caller that needs an order stops them itself.
pub(crate) async fn unless_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        outcome = work => outcome,
        () = interruption() => Err(Interrupted.into()),
    }
}

#[cfg(unix)]
async fn interruption() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut hangup), Ok(mut terminate)) =
        (signal(SignalKind::hangup()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => (),
        _ = hangup.recv() => (),
        _ = terminate.recv() => (),
    }
}

#[cfg(not(unix))]
async fn interruption() {
    // Without a handler, Ctrl-C ends the process as it always does.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
