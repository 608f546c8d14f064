//! The list of words, as it stands in `xtask/forbidden-words.txt`.

use super::is_sentence;
use crate::prose::{Kind, Passage};
use crate::tools::Repository;
use anyhow::{Context as _, Result, bail};

/// Words and phrases with the same advice.
#[derive(Debug)]
pub(crate) struct Group {
    /// Forbidden words fail `check`; the others are only counted.
    pub(crate) forbidden: bool,
    pub(crate) advice: String,
    phrases: Vec<Vec<String>>,
}

impl Group {
    /// The first phrase, which names the group.
    pub(crate) fn name(&self) -> String {
        self.phrases.first().map(|phrase| phrase.join(" ")).unwrap_or_default()
    }

    /// The first two phrases.
    pub(crate) fn title(&self) -> String {
        let phrases: Vec<String> = self.phrases.iter().take(2).map(|p| p.join(" ")).collect();
        let more = if self.phrases.len() > 2 { ", ..." } else { "" };
        format!("{}{more}", phrases.join(", "))
    }
}

#[derive(Debug, Default)]
pub(crate) struct WordList {
    pub(crate) groups: Vec<Group>,
    exceptions: Vec<Exception>,
}

#[derive(Debug)]
struct Exception {
    path: String,
    word: String,
}

/// One use of a phrase.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) line: usize,
    pub(crate) group: usize,
    pub(crate) phrase: String,
}

impl WordList {
    pub(crate) fn read(repository: &Repository) -> Result<Self> {
        let path = repository.path("xtask/forbidden-words.txt");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("could not read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("could not parse {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut list = Self::default();
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name;
                continue;
            }
            match section {
                "forbidden" | "measured" => list.groups.push(group(line, section == "forbidden")?),
                "exceptions" => list.exceptions.push(exception(line)?),
                _ => bail!("the section \"{section}\" is not known"),
            }
        }
        Ok(list)
    }

    /// Every use of a word of the list.
    pub(crate) fn matches(&self, passage: &Passage) -> Vec<Hit> {
        if is_sentence(passage.kind, &passage.text) {
            return Vec::new();
        }
        let words = match passage.kind {
            Kind::Name => name_words(passage),
            _ => passage.words(),
        };
        let mut hits = Vec::new();
        for (group, phrases) in self.groups.iter().enumerate() {
            for phrase in &phrases.phrases {
                let uses = words.windows(phrase.len()).filter(|window| {
                    window.iter().map(|(_, word)| word).eq(phrase)
                        && (passage.kind != Kind::Name || phrase.len() == 1)
                });
                hits.extend(uses.map(|window| Hit {
                    line: window[0].0,
                    group,
                    phrase: phrase.join(" "),
                }));
            }
        }
        hits.sort_by_key(|hit| hit.line);
        hits
    }

    pub(crate) fn excepts(&self, path: &str, phrase: &str) -> bool {
        self.exceptions.iter().any(|exception| {
            path.starts_with(&exception.path)
                && (exception.word == "*" || exception.word.eq_ignore_ascii_case(phrase))
        })
    }
}

fn group(line: &str, forbidden: bool) -> Result<Group> {
    let (words, advice) = line.split_once(':').context("a group has no advice")?;
    let phrases = words
        .split(',')
        .map(|phrase| phrase.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .collect::<Vec<_>>();
    if phrases.iter().any(Vec::is_empty) {
        bail!("a phrase is empty: {line}");
    }
    Ok(Group { forbidden, advice: advice.trim().to_owned(), phrases })
}

fn exception(line: &str) -> Result<Exception> {
    let parts: Vec<&str> = line.splitn(3, ": ").map(str::trim).collect();
    match parts.as_slice() {
        [path, word, reason] if !reason.is_empty() => {
            Ok(Exception { path: (*path).to_owned(), word: (*word).to_owned() })
        }
        _ => bail!("an exception needs a path, a word and a reason: {line}"),
    }
}

/// `snake_case` and `CamelCase` in words.
fn name_words(passage: &Passage) -> Vec<(usize, String)> {
    let mut words = vec![String::new()];
    for letter in passage.text.chars() {
        if letter == '_' || letter.is_uppercase() {
            words.push(String::new());
        }
        if letter != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words.into_iter().map(|word| (passage.line, word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# a list\n[forbidden]\nwhoever, nobody: name it\nGoes on: continues\n\
        [exceptions]\nvendored/: *: quoted\na.rs: nobody: a name\n";

    fn hits(kind: Kind, text: &str) -> Vec<(usize, String)> {
        let list = WordList::parse(LIST).unwrap();
        let hits = list.matches(&Passage { kind, line: 1, text: text.to_owned() });
        hits.into_iter().map(|hit| (hit.line, hit.phrase)).collect()
    }

    #[test]
    fn whole_words_and_phrases_are_found_in_any_case_and_across_lines() {
        assert_eq!(
            hits(Kind::Comment, "Whoever asks\ngoes\non. Then"),
            [(1, "whoever".to_owned()), (2, "goes on".to_owned())]
        );
        assert!(hits(Kind::Comment, "it goes. On the nobodys").is_empty());
    }

    #[test]
    fn names_are_read_but_sentences_are_not() {
        assert_eq!(hits(Kind::Name, "nobody_asked"), [(1, "nobody".to_owned())]);
        assert_eq!(hits(Kind::Name, "NobodyAsked"), [(1, "nobody".to_owned())]);
        assert!(hits(Kind::Name, "a_request_that_nobody_made").is_empty());
    }

    #[test]
    fn an_exception_covers_a_path_and_a_word() {
        let list = WordList::parse(LIST).unwrap();
        assert!(list.excepts("vendored/x.py", "whoever") && list.excepts("a.rs", "nobody"));
        assert!(!list.excepts("a.rs", "whoever"));
        assert!(WordList::parse("[exceptions]\na.rs: nobody\n").is_err(), "no reason");
    }
}
