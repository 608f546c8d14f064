use keybearer_core::{Error, Result};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Protects the memory of this process (invariant I5): no core dumps, and no debugger of the same
/// user. The umask is left alone: our files are created with an explicit mode, and a browser started
/// from here would inherit a strict umask for the person's downloads.
pub(crate) fn harden() -> Result<()> {
    let failed = |what: &str, error: rustix::io::Errno| {
        Error::internal(format!("could not {what}"))
            .with_source(std::io::Error::from(error))
            .with_hint("run the broker without a sandbox that forbids prctl and setrlimit")
    };
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|error| failed("disable core dumps", error))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| failed("protect the process from debuggers", error))
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
