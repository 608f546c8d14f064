//! Starting the per-user broker when nothing answers.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use keybearer_core::{Error, Missing, Result};
use keybearer_host::{Environment, private_dir};
use tokio::io::{AsyncBufReadExt, BufReader};

/// How long a broker may take to start, whatever the caller's own limit.
const LONGEST_START: Duration = Duration::from_secs(10);

/// How much of each line that a failed broker logged goes into the error.
const LONGEST_LINE: usize = 400;

/// The `keybearer` program: `KEYBEARER_PROGRAM`, this program itself, its neighbour, in the
/// `directory` of the caller, or on `PATH`.
#[must_use]
pub fn find_program(
    environment: &Environment,
    own: Option<&Path>,
    directory: Option<&Path>,
) -> Option<PathBuf> {
    const NAME: &str = "keybearer";
    let named = environment.value("KEYBEARER_PROGRAM").map(PathBuf::from);
    let itself = own.filter(|path| path.file_name() == Some(OsStr::new(NAME))).map(Path::to_owned);
    let neighbour = own.and_then(Path::parent).map(|dir| dir.join(NAME));
    let path = environment.value("PATH").unwrap_or_default();
    let directories = directory.map(Path::to_owned).into_iter().chain(std::env::split_paths(path));
    let directories = directories.filter(|directory| directory.is_absolute());
    let candidates = named.into_iter().chain(itself).chain(neighbour);
    candidates.chain(directories.map(|dir| dir.join(NAME))).find(|candidate| candidate.is_file())
}

/// Starts `program broker run`, which serves in `runtime_dir`, and waits until it accepts clients.
///
/// The broker outlives this process. If another broker is already running, the call succeeds as
/// well.
///
/// # Errors
/// `Unavailable(Broker)` if the broker did not start, with the error that it logged, its causes and
/// its hint; `TimedOut` after `limit`.
pub async fn start_broker(program: &Path, runtime_dir: &Path, limit: Duration) -> Result<()> {
    let log = runtime_dir.join("broker.log");
    let log_file = create_log(runtime_dir, &log)?;
    let mut child = spawn(program, log_file).map_err(|error| {
        no_start(format!("could not start {}: {error}", program.display()))
            .with_hint("install the keybearer program again")
    })?;
    let stdout = child.stdout.take();
    // It has handed over to the broker already.
    let _ = child.wait();
    let failed = |what: &str| {
        let StartFailure { reason, hint } = StartFailure::read(&log);
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        no_start(format!("the broker {what}{reason}")).with_hint(hint.unwrap_or_else(|| {
            "run `keybearer broker run` to see why it does not start".to_owned()
        }))
    };
    match tokio::time::timeout(limit.min(LONGEST_START), wait_until_ready(stdout)).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(failed("ended right after its start")),
        Err(_) if limit < LONGEST_START => Err(Error::timed_out("start the broker")),
        Err(_) => Err(failed("did not become ready")),
    }
}

/// The file in which a broker that does not start logs the reason. If it cannot be created, neither
/// could the broker's socket.
fn create_log(runtime_dir: &Path, log: &Path) -> Result<File> {
    const HINT: &str = "make the runtime directory writable for you, and make room on its disk";
    private_dir(runtime_dir).map_err(|error| {
        let reason: Vec<String> = std::iter::once(error.message()).chain(error.causes()).collect();
        no_start(reason.join(": ")).with_hint(error.hint().unwrap_or(HINT))
    })?;
    let mut options = File::options();
    options.create(true).write(true).truncate(true).mode(0o600);
    options.open(log).map_err(|error| {
        no_start(format!("could not create {}: {error}", log.display())).with_hint(HINT)
    })
}

fn no_start(message: impl Into<String>) -> Error {
    Error::unavailable(Missing::Broker, message)
}

/// The broker is nobody's child, has a session of its own, and holds none of the caller's files: a
/// program that waits for its children, or holds a lock by a descriptor, must not wait for it.
#[allow(unsafe_code, reason = "a child has to be forked once more before it becomes the program")]
fn spawn(program: &Path, log: File) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command.args(["broker", "run"]).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    // SAFETY: what runs between fork and exec allocates nothing and takes no lock; the functions it
    // calls are system calls.
    unsafe { command.pre_exec(detach) };
    command.spawn()
}

/// Goes on as the child of a child that has ended.
///
/// The system call and not `fork`, whose handlers of other libraries take locks that a thread which
/// is not in this process may hold.
#[allow(unsafe_code, reason = "fork has no safe form")]
fn detach() -> std::io::Result<()> {
    let (signal, none) = (libc::c_long::from(libc::SIGCHLD), 0);
    // clone(2): on s390x the stack comes before the flags.
    let [first, second] = if cfg!(target_arch = "s390x") { [none, signal] } else { [signal, none] };
    // SAFETY: this process has one thread, for it was just forked, and the child goes on with a copy
    // of its stack.
    match unsafe { libc::syscall(libc::SYS_clone, first, second, none, none, none) } {
        -1 => return Err(std::io::Error::last_os_error()),
        0 => {}
        // SAFETY: nothing of the caller's is wound up.
        _ => unsafe { libc::_exit(0) },
    }
    rustix::process::setsid()?;
    close_on_exec_from(3);
    Ok(())
}

/// Has every descriptor from this one on closed when the program takes over.
#[allow(unsafe_code, reason = "descriptors of others are known by their numbers only")]
fn close_on_exec_from(first: u32) {
    // SAFETY: no descriptor is closed before the program is another.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked == 0 {
        return;
    }
    // A kernel before 5.11.
    const USUAL_LIMIT: i32 = 1024;
    for descriptor in first.cast_signed()..USUAL_LIMIT {
        // SAFETY: a number that is no descriptor is an error that changes nothing.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// The broker says one line when it serves; the end of its output without one is a failure.
async fn wait_until_ready(stdout: Option<ChildStdout>) -> bool {
    let Some(stdout) = stdout.and_then(|out| tokio::process::ChildStdout::from_std(out).ok())
    else {
        return false;
    };
    let mut line = String::new();
    matches!(BufReader::new(stdout).read_line(&mut line).await, Ok(length) if length > 0)
}

/// What a broker that did not start reported.
#[derive(Default)]
struct StartFailure {
    /// The error and its causes.
    reason: Option<String>,
    hint: Option<String>,
}

impl StartFailure {
    fn read(log: &Path) -> Self {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let mut failure = Self::parse(&text);
        if text.is_empty()
            && let Err(error) = probe(log)
        {
            failure.reason = Some(format!("could not write {}: {error}", log.display()));
            failure.hint = Some("make room on the disk of the runtime directory".to_owned());
        }
        failure
    }

    /// Reads the last error as the program prints it: `error:`, `caused by:` and `hint:` lines.
    fn parse(text: &str) -> Self {
        let mut failure = Self::default();
        for line in text.lines().map(str::trim) {
            let shown = |line: &str| line.trim().chars().take(LONGEST_LINE).collect::<String>();
            if let Some(error) = line.strip_prefix("error:") {
                failure = Self { reason: Some(shown(error)), hint: None };
            } else if let Some(cause) = line.strip_prefix("caused by:") {
                let cause = shown(cause);
                failure.reason = failure.reason.map(|reason| format!("{reason}: {cause}"));
            } else if let Some(hint) = line.strip_prefix("hint:") {
                failure.hint = Some(shown(hint));
            }
        }
        failure
    }
}

/// Whether the log can be written at all: on a full disk it stays empty, whatever the broker logs.
fn probe(log: &Path) -> std::io::Result<()> {
    let mut file = File::options().append(true).open(log)?;
    file.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_failed_start_is_the_last_error_with_its_causes() {
        let log = "INFO keybearer: starting\nerror: old\nhint: old\nerror: could not create /s\n  \
                   caused by: disk\n  caused by: No space left on device (os error 28)\nhint: make room\n";
        let StartFailure { reason, hint } = StartFailure::parse(log);
        let expected = "could not create /s: disk: No space left on device (os error 28)";
        assert_eq!((reason.as_deref(), hint.as_deref()), (Some(expected), Some("make room")));
    }

    #[test]
    fn a_log_that_cannot_be_written_is_the_reason_itself() {
        // Writing there always fails with ENOSPC.
        let full = Path::new("/dev/full");
        let error = probe(full).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        let dir = tempfile::tempdir().unwrap();
        let StartFailure { reason, hint } = StartFailure::read(&dir.path().join("gone/broker.log"));
        assert!(reason.unwrap().contains("No such file"));
        assert!(hint.is_some());
    }

    #[test]
    fn the_program_is_looked_for_where_it_was_named_then_near_us_then_on_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("keybearer"), "").unwrap();
            path
        };
        let [named, beside, installed, on_path] =
            ["named", "beside", "installed", "path"].map(place);
        let environment = |pairs: &[(&str, &Path)]| {
            Environment::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_os_str())))
        };
        let both =
            environment(&[("KEYBEARER_PROGRAM", &named.join("keybearer")), ("PATH", &on_path)]);
        let path_only = environment(&[("PATH", &on_path)]);
        let own = beside.join("python3");
        let find = |environment: &Environment, own| find_program(environment, own, None);
        let find_with = |directory: &Path| find_program(&path_only, None, Some(directory));
        assert_eq!(find(&both, Some(&own)), Some(named.join("keybearer")));
        assert_eq!(find(&path_only, Some(&own)), Some(beside.join("keybearer")));
        assert_eq!(find(&path_only, None), Some(on_path.join("keybearer")));
        assert_eq!(find_with(&installed), Some(installed.join("keybearer")));
        assert_eq!(find_with(&dir.path().join("empty")), Some(on_path.join("keybearer")));
        assert_eq!(find(&environment(&[("PATH", Path::new("relative"))]), None), None);
    }
}
