//! Citations of the promises in `crates/core/src/promises.rs`: each one must be defined there.

use crate::prose::{self, Kind, Prose};
use crate::tools::Repository;
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeSet;

const DEFINITIONS: &str = "crates/core/src/promises.rs";

/// Citations of documents outside of the repository, which a reader cannot follow.
const DANGLING: &[&str] = &["(T", "checks T", "design:"];

pub(super) fn check(repository: &Repository) -> Result<()> {
    let text = std::fs::read_to_string(repository.path(DEFINITIONS))
        .with_context(|| format!("could not read {DEFINITIONS}"))?;
    let defined = definitions(&text);
    ensure!(!defined.is_empty(), "{DEFINITIONS} defines no promise");
    let mut wrong = Vec::new();
    for file in prose::read_all(repository)? {
        // This file's own tests name promises that do not exist.
        if file.path != "xtask/src/check/promises.rs" {
            wrong.extend(undefined(&file, &defined));
        }
    }
    if !wrong.is_empty() {
        bail!("citations that are not defined in {DEFINITIONS}:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

/// The numbers of the headings `## I5: word`.
fn definitions(text: &str) -> BTreeSet<u32> {
    let headings = text.lines().filter_map(|line| line.strip_prefix("//! ## I"));
    headings.filter_map(|heading| heading.split_once(": ")?.0.parse().ok()).collect()
}

fn undefined(file: &Prose, defined: &BTreeSet<u32>) -> Vec<String> {
    let mut wrong = Vec::new();
    for passage in &file.passages {
        for (offset, line) in passage.text.lines().enumerate() {
            let number = passage.line + offset;
            let cited = cited(line, passage.kind).into_iter();
            let unknown = cited.filter(|promise| !defined.contains(promise));
            wrong.extend(unknown.map(|promise| format!("{}:{number}: I{promise}", file.path)));
            if is_dangling(line) && passage.kind == Kind::Comment {
                wrong.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    wrong
}

/// The promises that a line cites: `I5` as a word, `inv_i5` at the end of a name, `i5_` before it.
fn cited(line: &str, kind: Kind) -> Vec<u32> {
    let mut found = Vec::new();
    for word in line.split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
        let in_name = match word.rsplit_once("inv_i") {
            Some((_, number)) => number.parse().ok(),
            None if kind == Kind::Name => word.strip_prefix('i').and_then(prefix_number),
            None => None,
        };
        found.extend(in_name.or_else(|| word.strip_prefix('I')?.parse().ok()));
    }
    found
}

/// The number of `5_an_answer`; the widths of integers are none.
fn prefix_number(rest: &str) -> Option<u32> {
    let (number, _) = rest.split_once('_')?;
    number.parse().ok().filter(|number| ![16, 32, 64, 128].contains(number))
}

fn is_dangling(line: &str) -> bool {
    DANGLING.iter().any(|mark| {
        line.split_once(mark).is_some_and(|(_, after)| {
            !mark.ends_with('T') || after.starts_with(|letter: char| letter.is_ascii_digit())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prose::Passage;

    fn verdict(kind: Kind, text: &str) -> Vec<String> {
        let passages = vec![Passage { kind, line: 3, text: text.to_owned() }];
        undefined(&Prose { path: "a.rs".into(), passages }, &BTreeSet::from([5, 7]))
    }

    #[test]
    fn promises_are_defined_by_their_headings() {
        assert_eq!(definitions("//! ## I5: secret\n//! I6: no\n//! ## I12: bounded\n").len(), 2);
    }

    #[test]
    fn a_citation_of_an_unknown_promise_is_found() {
        assert_eq!(verdict(Kind::Comment, "kept (promise I5)\nand (I9)"), ["a.rs:4: I9"]);
        assert_eq!(verdict(Kind::Name, "it_ends_in_time_inv_i70"), ["a.rs:3: I70"]);
        assert_eq!(verdict(Kind::Name, "i9_it_ends_in_time"), ["a.rs:3: I9"]);
        assert!(verdict(Kind::Name, "i32_of").is_empty());
        assert!(verdict(Kind::Name, "it_ends_in_time_inv_i7").is_empty());
    }

    #[test]
    fn a_citation_of_a_document_that_is_not_here_is_found() {
        assert_eq!(verdict(Kind::Comment, "one name only (T3).").len(), 1);
        assert_eq!(verdict(Kind::Comment, "durable (design: one request)").len(), 1);
        assert!(verdict(Kind::Comment, "a closure (Token) by design").is_empty());
    }
}
