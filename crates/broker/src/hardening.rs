use keybearer_core::{Error, Result};
use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Keeps this process's memory to itself (invariant I5): no core dumps, no debugger of the same
/// user, and files closed to others.
pub(crate) fn harden() -> Result<()> {
    let failed = |what: &str, error: rustix::io::Errno| {
        Error::internal(format!("{what} before secrets are in memory"))
            .with_source(std::io::Error::from(error))
    };
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|error| failed("forbid core dumps", error))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| failed("close the process to debuggers", error))
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit, umask};

    use super::*;

    #[test]
    fn i5_there_are_no_core_dumps_no_debuggers_and_no_open_files() {
        harden().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(umask(Mode::RWXG | Mode::RWXO), Mode::RWXG | Mode::RWXO);
    }
}
