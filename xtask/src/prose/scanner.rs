//! Comments, strings and names of Rust, Python and TOML. Understands just enough of each language to
//! distinguish these three.

use super::{Kind, Passage};

/// Comments, strings and names of a Rust file.
pub(super) fn rust(content: &str) -> Vec<Passage> {
    let mut scanner = Scanner::new(content);
    while let Some(letter) = scanner.peek() {
        if scanner.rest.starts_with("//") {
            scanner.line_comment(&['/', '!']);
        } else if scanner.rest.starts_with("/*") {
            scanner.block_comment();
        } else if letter == '"' {
            scanner.string("\"", Escapes::Yes, Kind::Text);
        } else if letter == '\'' {
            scanner.character();
        } else if is_name(letter) {
            let name = scanner.name();
            let hashes = scanner.rest.len() - scanner.rest.trim_start_matches('#').len();
            if matches!(name, "r" | "br" | "cr") && scanner.rest[hashes..].starts_with('"') {
                scanner.skip(hashes);
                let end = format!("\"{}", "#".repeat(hashes));
                scanner.raw_string(&end);
            } else {
                scanner.push(Kind::Name, name);
            }
        } else {
            scanner.skip(letter.len_utf8());
        }
    }
    scanner.found
}

/// Comments, docstrings, strings and names of a Python file. A string in triple quotes counts as a
/// docstring.
pub(super) fn python(content: &str) -> Vec<Passage> {
    let mut scanner = Scanner::new(content);
    while let Some(letter) = scanner.peek() {
        if letter == '#' {
            scanner.line_comment(&['#']);
        } else if let Some(quotes) =
            ["\"\"\"", "'''"].iter().find(|q| scanner.rest.starts_with(**q))
        {
            scanner.string(quotes, Escapes::Yes, Kind::Comment);
        } else if letter == '"' || letter == '\'' {
            scanner.string(&letter.to_string(), Escapes::Yes, Kind::Text);
        } else if is_name(letter) {
            let name = scanner.name();
            scanner.push(Kind::Name, name);
        } else {
            scanner.skip(letter.len_utf8());
        }
    }
    scanner.found
}

/// Keys of a TOML file whose values are prose.
const PROSE_KEYS: &[&str] = &["description", "docs", "reason", "why"];

/// Comments of a TOML file, and the values that are prose.
pub(super) fn toml(content: &str) -> Vec<Passage> {
    let mut scanner = Scanner::new(content);
    let mut key = "";
    while let Some(letter) = scanner.peek() {
        if letter == '#' {
            scanner.line_comment(&['#']);
        } else if letter == '"' || letter == '\'' {
            let quotes = letter.to_string().repeat(3);
            let quotes =
                if scanner.rest.starts_with(&quotes) { quotes } else { letter.to_string() };
            let escapes = if letter == '"' { Escapes::Yes } else { Escapes::No };
            let before = scanner.found.len();
            scanner.string(&quotes, escapes, Kind::Text);
            if !PROSE_KEYS.contains(&key) {
                scanner.found.truncate(before);
            }
        } else if is_name(letter) {
            key = scanner.name();
        } else {
            scanner.skip(letter.len_utf8());
        }
    }
    scanner.found
}

fn is_name(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Escapes {
    Yes,
    No,
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<Passage>,
    /// The line on which the last passage ended.
    ended: usize,
}

impl<'a> Scanner<'a> {
    const fn new(content: &'a str) -> Self {
        Self { rest: content, line: 1, found: Vec::new(), ended: 0 }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Passes over so many bytes and returns them.
    fn skip(&mut self, bytes: usize) -> &'a str {
        let (passed, rest) = self.rest.split_at(bytes);
        self.line += passed.matches('\n').count();
        self.rest = rest;
        passed
    }

    fn name(&mut self) -> &'a str {
        let end = self.rest.find(|letter| !is_name(letter)).unwrap_or(self.rest.len());
        self.skip(end)
    }

    fn push(&mut self, kind: Kind, text: impl Into<String>) {
        self.ended = self.line;
        self.found.push(Passage { kind, line: self.line, text: text.into() });
    }

    /// A comment to the end of its line. It belongs to a comment that ended on the line before.
    fn line_comment(&mut self, marks: &[char]) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let text = self.skip(end).trim_start_matches(marks).trim();
        let continued = self.ended + 1 == self.line;
        match self.found.last_mut() {
            Some(last) if continued && last.kind == Kind::Comment => {
                last.text.push('\n');
                last.text.push_str(text);
                self.ended = self.line;
            }
            _ => self.push(Kind::Comment, text),
        }
    }

    fn block_comment(&mut self) {
        let (mut depth, mut end) = (0, self.rest.len());
        let mut at = 0;
        while at < self.rest.len() {
            let rest = &self.rest.as_bytes()[at..];
            if rest.starts_with(b"/*") {
                depth += 1;
                at += 2;
            } else if rest.starts_with(b"*/") {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    end = at;
                    break;
                }
            } else {
                at += 1;
            }
        }
        let line = self.line;
        let text = self.skip(end).to_owned();
        self.found.push(Passage { kind: Kind::Comment, line, text });
        self.ended = self.line;
    }

    /// A string that begins and ends with `quotes`. An escape sequence becomes a blank.
    fn string(&mut self, quotes: &str, escapes: Escapes, kind: Kind) {
        self.skip(quotes.len());
        let line = self.line;
        let mut text = String::new();
        while let Some(letter) = self.peek() {
            if self.rest.starts_with(quotes) {
                self.skip(quotes.len());
                break;
            }
            let passed = self.skip(letter.len_utf8());
            if letter == '\\' && escapes == Escapes::Yes {
                let escaped = self.peek().map_or(0, char::len_utf8);
                let escaped = self.skip(escaped);
                text.push(if escaped == "\n" { '\n' } else { ' ' });
            } else {
                text.push_str(passed);
            }
        }
        self.found.push(Passage { kind, line, text });
        self.ended = self.line;
    }

    fn raw_string(&mut self, end: &str) {
        self.skip(1);
        let line = self.line;
        let length = self.rest.find(end).unwrap_or(self.rest.len());
        let text = self.skip(length).to_owned();
        self.skip(end.len().min(self.rest.len()));
        self.found.push(Passage { kind: Kind::Text, line, text });
        self.ended = self.line;
    }

    /// A character, or a lifetime, of which only the mark is passed over.
    fn character(&mut self) {
        self.skip(1);
        if self.rest.starts_with('\\') {
            self.skip(1);
            let escaped = self.peek().map_or(0, char::len_utf8);
            self.skip(escaped);
            let end = self.rest.find('\'').map_or(0, |end| end + 1);
            self.skip(end);
        } else if let Some(letter) = self.peek()
            && self.rest[letter.len_utf8()..].starts_with('\'')
        {
            self.skip(letter.len_utf8() + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kind(passages: &[Passage], kind: Kind) -> Vec<(usize, &str)> {
        let found = passages.iter().filter(|passage| passage.kind == kind);
        found.map(|passage| (passage.line, passage.text.as_str())).collect()
    }

    #[test]
    fn rust_has_comments_strings_and_names() {
        let source = "/// One\n/// two.\nfn name<'a>(x: char) {\n    '\"'; '\\''; r#\"raw \"x\"\"#;\n    \"a \\\n     b\" // end\n}\n/* block\n */";
        let found = rust(source);
        assert_eq!(
            of_kind(&found, Kind::Comment),
            [(1, "One\ntwo."), (6, "end"), (8, "/* block\n */")]
        );
        assert_eq!(of_kind(&found, Kind::Text), [(4, "raw \"x\""), (5, "a \n     b")]);
        assert_eq!(of_kind(&found, Kind::Name)[..2], [(3, "fn"), (3, "name")]);
    }

    #[test]
    fn python_has_docstrings_too() {
        let found = python("\"\"\"Doc.\n\"\"\"\nname = 'it' # why\n");
        assert_eq!(of_kind(&found, Kind::Comment), [(1, "Doc.\n"), (3, "why")]);
        assert_eq!(of_kind(&found, Kind::Text), [(3, "it")]);
    }

    #[test]
    fn toml_has_comments_and_values_that_are_prose() {
        let found = toml("# Note\nx = { path = \"a # b\", reason = \"because\" }\n");
        assert_eq!(of_kind(&found, Kind::Comment), [(1, "Note")]);
        assert_eq!(of_kind(&found, Kind::Text), [(2, "because")]);
    }
}
