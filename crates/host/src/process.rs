use std::path::PathBuf;

use keybearer_core::Process;

/// The process with this id, with its program if the system reports it.
#[must_use]
pub fn process(pid: u32, uid: u32) -> Process {
    Process { pid, uid, executable: executable(pid) }
}

/// This process.
#[cfg(unix)]
#[must_use]
pub fn own_process() -> Process {
    let executable = std::env::current_exe().ok();
    Process { pid: std::process::id(), uid: rustix::process::getuid().as_raw(), executable }
}

fn executable(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_under_its_own_id() {
        let own = own_process();
        assert_eq!(process(own.pid, own.uid), own);
        assert_eq!(process(u32::MAX, 0).executable, None);
    }
}
