//! The texts of the Python packages, read by Python's own parser.

use super::text::{Kind, Text};
use crate::process;
use crate::prose::relative;
use crate::source_files::source_files;
use crate::tools::Repository;
use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The packages that users install.
const PACKAGES: &[&str] = &[
    "crates/python/python",
    "python/keybearer-azure-identity-broker/azure",
    "python/keybearer-azure-identity-broker/build_backend",
];

#[derive(Deserialize)]
struct Found {
    path: String,
    kind: String,
    text: String,
}

pub(super) async fn collect(repository: &Repository) -> Result<Vec<Text>> {
    let root = repository.path("");
    let mut python = process::command("python3");
    python.arg(repository.path("xtask/messages/texts.py")).current_dir(&root);
    for package in PACKAGES {
        for file in source_files(&root.join(package), &["py"])? {
            python.arg(relative(&root, &file));
        }
    }
    let output = process::capture(&mut python).await?;
    let lines = output.lines().map(|line| {
        let found: Found = serde_json::from_str(line)
            .with_context(|| format!("could not read what texts.py printed: {line}"))?;
        let kind = Kind::named(&found.kind).context("texts.py printed an unknown kind")?;
        Ok(Text { path: found.path, kind, text: found.text })
    });
    lines.collect()
}
