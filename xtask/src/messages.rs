//! `messages`: every text that a user may see, in `docs/messages.txt`, so that all of them can be
//! read in one place.

mod form;
mod python;
mod rust;
mod sinks;
mod text;

use crate::process::unless_interrupted;
use crate::tools::Repository;
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use text::Text;

/// Where the list is.
const LIST: &str = "docs/messages.txt";

/// Crates whose texts no user of the broker sees: test doubles, and the emulator, which repeats
/// Entra's texts.
const NOT_SHIPPED: &[&str] = &["emulator", "fake-wam", "testkit"];

const HEADING: &str = "\
# Every text that a user may see: messages of errors, hints, log lines, help, and what else is printed
# or drawn. Written by `cargo xtask messages --write`; do not edit.
";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Update docs/messages.txt instead of printing the list
    #[arg(long)]
    write: bool,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let repository = Repository::here();
    let texts = unless_interrupted(collect(&repository)).await?;
    if options.write {
        let path = repository.path(LIST);
        std::fs::write(&path, listed(&texts))
            .with_context(|| format!("could not write {}", path.display()))?;
    } else {
        print!("{}", listed(&texts));
    }
    for fault in faults(&texts) {
        eprintln!("{fault}");
    }
    Ok(())
}

async fn collect(repository: &Repository) -> Result<Vec<Text>> {
    let root = repository.path("");
    let crates = repository.path("crates");
    let mut texts = python::collect(repository).await?;
    for entry in std::fs::read_dir(&crates).context("could not list the crates")? {
        let krate = entry?;
        let name = krate.file_name();
        if !NOT_SHIPPED.iter().any(|other| name == *other) && krate.path().join("src").is_dir() {
            texts.extend(rust::collect(&root, &krate.path())?);
        }
    }
    texts.sort();
    texts.dedup();
    Ok(texts)
}

/// By file, then by kind; no line numbers, so that moving code changes nothing here.
fn listed(texts: &[Text]) -> String {
    let mut list = HEADING.to_owned();
    let mut path = "";
    for text in texts {
        if text.path != path {
            path = &text.path;
            let _ = writeln!(list, "\n{path}");
        }
        let shown = text.text.trim().replace('\n', "\\n");
        let _ = writeln!(list, "  {:<6} {shown}", text.kind.to_string());
    }
    list
}

fn faults(texts: &[Text]) -> Vec<String> {
    let found = texts.iter().filter_map(|text| form::fault(text).map(|fault| (text, fault)));
    found
        .map(|(text, fault)| format!("{}: {} \"{}\" {fault}", text.path, text.kind, text.text))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use text::Kind;

    #[test]
    fn the_list_names_each_file_once() {
        let text = |path: &str, kind, text: &str| Text {
            path: path.to_owned(),
            kind,
            text: text.to_owned(),
        };
        let list = listed(&[
            text("a.rs", Kind::Error, "could not\nread"),
            text("a.rs", Kind::Hint, "run it"),
            text("b.rs", Kind::Log, "it ended"),
        ]);
        let list = list.strip_prefix(HEADING).unwrap();
        assert_eq!(
            list,
            "\na.rs\n  error  could not\\nread\n  hint   run it\n\nb.rs\n  log    it ended\n"
        );
    }
}
