//! Rules about files as text.

use crate::source_files::source_files;
use crate::tools::Repository;
use anyhow::{Context as _, Result, bail};

/// Lines in one source file.
const MAX_LINES: usize = 500;

pub(super) fn check_sizes(repository: &Repository) -> Result<()> {
    let mut long = Vec::new();
    for path in source_files(&repository.path(""), &["py", "rs"])? {
        let lines = std::fs::read_to_string(&path)
            .with_context(|| path.display().to_string())?
            .lines()
            .count();
        if lines > MAX_LINES {
            long.push(format!("{}: {lines} lines", path.display()));
        }
    }
    complain(&format!("longer than {MAX_LINES} lines"), &long)
}

pub(super) fn check_words(repository: &Repository) -> Result<()> {
    let list = repository.path("xtask/forbidden-words.txt");
    let words = std::fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let words = listed(&words);
    let mut found = Vec::new();
    for path in source_files(&repository.path(""), &[])? {
        // Pictures and archives hold no words.
        let Ok(content) = std::fs::read_to_string(&path) else { continue };
        if path != list {
            found.extend(
                uses(&content, &words).iter().map(|word| format!("{}: {word}", path.display())),
            );
        }
    }
    complain("words that must not appear", &found)
}

fn complain(what: &str, where_found: &[String]) -> Result<()> {
    if !where_found.is_empty() {
        bail!("{what}:\n  {}", where_found.join("\n  "));
    }
    Ok(())
}

/// One word or phrase a line; `#` begins a comment.
fn listed(words: &str) -> Vec<String> {
    let lines =
        words.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_lowercase());
    lines.filter(|line| !line.is_empty()).collect()
}

fn uses<'a>(content: &str, words: &'a [String]) -> Vec<&'a str> {
    if words.is_empty() {
        return Vec::new();
    }
    let content = content.to_lowercase();
    words.iter().map(String::as_str).filter(|word| content.contains(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whatever_their_case() {
        let words = listed("# a list\n\nblazingly fast # boast\nSimply\n");
        assert_eq!(uses("It is Simply BLAZINGLY fast", &words), ["blazingly fast", "simply"]);
        assert!(uses("It is fast", &words).is_empty());
    }
}
