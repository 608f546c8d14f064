use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::process::process;

/// The process that holds the file's lock, in words.
pub(super) fn of(file: &Path) -> String {
    let inode = std::fs::symlink_metadata(file).map(|metadata| metadata.ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let Some(pid) = inode.ok().and_then(|inode| lock_owner(&locks, inode)) else {
        return "another process".to_owned();
    };
    match process(pid, 0).executable {
        Some(path) => format!("process {pid} ({})", path.display()),
        None => format!("process {pid}"),
    }
}

/// Reads lines such as `1: FLOCK  ADVISORY  WRITE 4242 fe:01:131 0 EOF` (proc(5)).
fn lock_owner(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [.., "FLOCK", _, _, pid, file, _, _] = *fields.as_slice() else { return None };
        let own = file.rsplit(':').next()?.parse() == Ok(inode);
        own.then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_lock_is_found_by_the_files_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fe:01:131 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 8 fe:01:132 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 9 fe:01:133 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 4242 fe:01:131 0 EOF\n";
        assert_eq!(lock_owner(locks, 131), Some(4242));
        assert_eq!(lock_owner(locks, 131_131), None);
    }
}
