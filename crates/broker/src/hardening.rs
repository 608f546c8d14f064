use keybearer_core::{Error, Result};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Keeps this process's memory to itself (invariant I5): no core dumps, no debugger of the same
/// user. The umask stays: every file of ours is created with its mode, and a browser started from
/// here must not close the person's downloads to others.
pub(crate) fn harden() -> Result<()> {
    let failed = |what: &str, error: rustix::io::Errno| {
        Error::internal(format!("{what} before secrets are in memory"))
            .with_source(std::io::Error::from(error))
    };
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|error| failed("forbid core dumps", error))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| failed("close the process to debuggers", error))
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn i5_there_are_no_core_dumps_and_no_debuggers() {
        harden().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    }
}
