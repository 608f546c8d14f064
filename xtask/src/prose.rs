//! The prose in a source file: comments, documents, strings and names, with their line numbers.

mod markup;
mod scanner;

use crate::source_files::source_files;
use crate::tools::Repository;
use anyhow::{Context as _, Result};
use std::path::Path;

/// What kind of text a passage is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A comment or a docstring.
    Comment,
    /// Part of a document, a script or a page.
    Document,
    /// A string of a program, which a user may see.
    Text,
    /// An identifier.
    Name,
}

/// Text that belongs together: a comment over several lines, a string, a document.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Passage {
    pub(crate) kind: Kind,
    /// The line on which it begins, counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// A file of the repository with its passages.
pub(crate) struct Prose {
    /// Relative to the repository, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) passages: Vec<Passage>,
}

/// Reads every file that holds prose of this project. Lock files, licences, test data and the texts
/// that are derived from other files are left out.
pub(crate) fn read_all(repository: &Repository) -> Result<Vec<Prose>> {
    let root = repository.path("");
    let mut found = Vec::new();
    for file in source_files(&root, &[])? {
        let path = relative(&root, &file);
        let Some(language) = Language::of(&path) else { continue };
        let content = std::fs::read_to_string(&file)
            .with_context(|| format!("could not read {}", file.display()))?;
        found.push(Prose { passages: language.passages(&content), path });
    }
    Ok(found)
}

/// The path of a file below the repository, with `/` between its parts.
pub(crate) fn relative(root: &Path, file: &Path) -> String {
    let path = file.strip_prefix(root).unwrap_or(file);
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[derive(Clone, Copy)]
enum Language {
    Rust,
    Python,
    Toml,
    Markdown,
    /// Scripts and pages, read as a whole.
    Other,
}

/// Files whose text comes from elsewhere or is derived from files that are read themselves.
const NOT_READ: &[&str] =
    &["docs/messages.txt", "requirements.txt", "packages.txt", "sdists.txt", "tools.txt"];

impl Language {
    fn of(path: &str) -> Option<Self> {
        if NOT_READ.iter().any(|name| path.ends_with(name)) {
            return None;
        }
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        Some(match ending {
            "rs" => Self::Rust,
            "py" | "pyi" => Self::Python,
            "toml" => Self::Toml,
            "md" => Self::Markdown,
            "c" | "html" | "in" | "js" | "mjs" | "ps1" | "sh" if !path.contains("/testdata/") => {
                Self::Other
            }
            _ if path == ".ci/run" => Self::Other,
            _ => return None,
        })
    }

    fn passages(self, content: &str) -> Vec<Passage> {
        match self {
            Self::Rust => scanner::rust(content),
            Self::Python => scanner::python(content),
            Self::Toml => scanner::toml(content),
            Self::Markdown => markup::document(content),
            Self::Other => {
                vec![Passage { kind: Kind::Document, line: 1, text: content.to_owned() }]
            }
        }
    }
}

impl Passage {
    /// The words in lower case with their lines. Punctuation and the end of a paragraph give an
    /// empty word, so that a phrase is not found across them; code in backticks is left out.
    pub(crate) fn words(&self) -> Vec<(usize, String)> {
        let mut words = Words::default();
        let mut line = self.line;
        let mut code = false;
        let mut previous = ' ';
        for letter in self.text.chars() {
            match letter {
                '`' => {
                    words.pause(line);
                    code = !code;
                }
                '\n' if previous == '\n' => {
                    words.pause(line);
                    // A single backtick must not hide the paragraphs after it.
                    code = false;
                }
                _ if code => {}
                '\'' | '’' if previous.is_alphabetic() => words.letter('\''),
                letter if letter.is_alphanumeric() => words.letter(letter),
                letter if letter.is_whitespace() || letter == '*' => words.end(line),
                _ => words.pause(line),
            }
            if letter == '\n' {
                line += 1;
            }
            if !matches!(letter, ' ' | '\t') {
                previous = letter;
            }
        }
        words.end(line);
        words.all
    }
}

#[derive(Default)]
struct Words {
    all: Vec<(usize, String)>,
    current: String,
}

impl Words {
    fn letter(&mut self, letter: char) {
        self.current.extend(letter.to_lowercase());
    }

    fn end(&mut self, line: usize) {
        if !self.current.is_empty() {
            self.all.push((line, std::mem::take(&mut self.current)));
        }
    }

    fn pause(&mut self, line: usize) {
        self.end(line);
        self.all.push((line, String::new()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_punctuation_and_code_is_left_out() {
        let text = "A caller's `told()` request\ngoes on. Nobody".to_owned();
        let passage = Passage { kind: Kind::Comment, line: 7, text };
        let words = passage.words();
        let named: Vec<_> = words.iter().filter(|(_, word)| !word.is_empty()).collect();
        let named: Vec<(usize, &str)> =
            named.into_iter().map(|(line, word)| (*line, word.as_str())).collect();
        assert_eq!(
            named,
            [(7, "a"), (7, "caller's"), (7, "request"), (8, "goes"), (8, "on"), (8, "nobody")]
        );
        assert!(words.iter().any(|(line, word)| *line == 8 && word.is_empty()), "the full stop");
    }
}
