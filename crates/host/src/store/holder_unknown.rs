use std::path::Path;

/// The process that holds the file's lock; this system does not report it.
pub(super) fn of(_file: &Path) -> String {
    "another process".to_owned()
}
