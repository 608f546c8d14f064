//! Starting the per-user broker when nothing answers.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use keybearer_core::{Error, ErrorKind, Missing, Result};
use keybearer_host::{Environment, private_dir};
use tokio::io::{AsyncBufReadExt, BufReader};

/// How long a broker may take to start, whatever the caller's own limit.
const LONGEST_START: Duration = Duration::from_secs(10);

/// How much of a failed broker's own words goes into the error.
const LONGEST_COMPLAINT: usize = 400;

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

/// Starts `program broker run`, which serves in `runtime_dir`, and waits until it does, or says why
/// not.
///
/// The broker outlives this process. If another one is running already, that is as good.
///
/// # Errors
/// `Unavailable(Broker)` if it did not start, with its own last words; `TimedOut` after `limit`.
pub async fn start_broker(program: &Path, runtime_dir: &Path, limit: Duration) -> Result<()> {
    let log = runtime_dir.join("broker.log");
    let complaints = create_log(runtime_dir, &log)?;
    let mut child = spawn(program, complaints)
        .map_err(|error| no_start(format!("start {}", program.display())).with_source(error))?;
    let stdout = child.stdout.take();
    // It has handed over to the broker already.
    let _ = child.wait();
    let failed = |why: &str| {
        let LastWords { error, hint } = LastWords::read(&log);
        let message = error.map_or_else(
            || format!("the broker {why}"),
            |error| format!("the broker {why}: {error}"),
        );
        no_start(message).with_hint(hint.unwrap_or_else(|| {
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

/// Where a broker that does not start says why. Where there is no place for that there is none for
/// its socket either.
fn create_log(runtime_dir: &Path, log: &Path) -> Result<File> {
    private_dir(runtime_dir).map_err(|error| {
        let kind = ErrorKind::Unavailable(Missing::Broker);
        Error::from_parts(kind, error.context().clone()).with_source(error)
    })?;
    let mut options = File::options();
    options.create(true).write(true).truncate(true).mode(0o600);
    options
        .open(log)
        .map_err(|error| no_start(format!("create {}", log.display())).with_source(error))
}

fn no_start(message: impl Into<String>) -> Error {
    Error::unavailable(Missing::Broker, message)
}

/// The broker is nobody's child, has a session of its own, and holds none of the caller's files: a
/// program that waits for its children, or holds a lock by a descriptor, must not wait for it.
#[allow(unsafe_code, reason = "a child has to be forked once more before it becomes the program")]
fn spawn(program: &Path, complaints: File) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command.args(["broker", "run"]).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(complaints);
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

/// What a broker that did not start said about it.
#[derive(Default)]
struct LastWords {
    error: Option<String>,
    hint: Option<String>,
}

impl LastWords {
    fn read(log: &Path) -> Self {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let last = |label: &str| {
            let line = text.lines().rev().find_map(|line| line.trim().strip_prefix(label));
            line.map(|line| line.trim().chars().take(LONGEST_COMPLAINT).collect())
        };
        Self { error: last("error:"), hint: last("hint:") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
