//! The project's own text files.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Directories with files that were built or downloaded.
const NOT_OURS: &[&str] = &[".git", ".keybearer", "__pycache__", "node_modules", "target"];

/// All files below `root` with one of these extensions; all files if none is given.
pub(crate) fn source_files(root: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        let entries = std::fs::read_dir(&directory)
            .with_context(|| format!("could not list {}", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name();
            if kind.is_dir() && !NOT_OURS.iter().any(|other| name == *other) {
                pending.push(path);
            } else if kind.is_file()
                && (endings.is_empty()
                    || path
                        .extension()
                        .is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
