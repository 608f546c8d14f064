//! Starting the per-user broker when nothing answers.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use keybearer_core::{Error, ErrorKind, Missing, Result};
use keybearer_host::{Environment, private_dir};
use keybearer_native::detached;
use tokio::io::{AsyncBufReadExt, BufReader};

/// How long a broker may take to start, whatever the caller's own limit.
const LONGEST_START: Duration = Duration::from_secs(10);

/// What to do about a broker that ended without an error message.
pub(crate) const SEE_WHY: &str = "run `keybearer broker run` to see why it does not start";

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
        no_start(message).with_hint(hint.unwrap_or_else(|| SEE_WHY.to_owned()))
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

fn spawn(program: &Path, complaints: File) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command.args(["broker", "run"]).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(complaints);
    detached::spawn(&mut command)
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
