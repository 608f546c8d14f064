//! The length of source files.

use crate::source_files::source_files;
use crate::tools::Repository;
use anyhow::{Context as _, Result, bail};

/// Lines in one source file.
const MAX_LINES: usize = 500;

pub(super) fn check(repository: &Repository) -> Result<()> {
    let mut long = Vec::new();
    for path in source_files(&repository.path(""), &["py", "rs"])? {
        let content = std::fs::read_to_string(&path)
            .with_context(|| format!("could not read {}", path.display()))?;
        let lines = content.lines().count();
        if lines > MAX_LINES {
            long.push(format!("{}: {lines} lines", path.display()));
        }
    }
    if !long.is_empty() {
        bail!("files are longer than {MAX_LINES} lines:\n  {}", long.join("\n  "));
    }
    Ok(())
}
