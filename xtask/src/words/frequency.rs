//! Uses of the words for each 10,000 words of text.

use super::list::WordList;
use crate::prose::{Kind, Prose};
use std::collections::BTreeMap;

/// Words of one kind of text in one area, and the uses of each group among them.
#[derive(Clone, Debug, Default)]
struct Count {
    words: usize,
    uses: BTreeMap<usize, usize>,
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.words += other.words;
        for (group, uses) in &other.uses {
            *self.uses.entry(*group).or_default() += uses;
        }
    }

    fn of(&self, group: usize) -> usize {
        self.uses.get(&group).copied().unwrap_or(0)
    }
}

/// The counts of a tree, by area and kind of text.
pub(crate) struct Frequencies<'a> {
    list: &'a WordList,
    /// Comments of each crate or directory.
    comments: BTreeMap<String, Count>,
    documents: Count,
    texts: Count,
}

impl<'a> Frequencies<'a> {
    pub(crate) fn count(prose: &[Prose], list: &'a WordList) -> Self {
        let mut counted = Self {
            list,
            comments: BTreeMap::new(),
            documents: Count::default(),
            texts: Count::default(),
        };
        for file in prose {
            for passage in &file.passages {
                let mut count = Count {
                    words: passage.words().iter().filter(|(_, word)| !word.is_empty()).count(),
                    uses: BTreeMap::new(),
                };
                for hit in list.matches(passage) {
                    if !list.excepts(&file.path, &hit.phrase) {
                        *count.uses.entry(hit.group).or_default() += 1;
                    }
                }
                match passage.kind {
                    Kind::Comment => {
                        counted.comments.entry(area(&file.path)).or_default().add(&count);
                    }
                    Kind::Document => counted.documents.add(&count),
                    Kind::Text => counted.texts.add(&count),
                    Kind::Name => {}
                }
            }
        }
        counted
    }

    /// A table by word for all comments, documents and strings, and one by crate for its comments.
    pub(crate) fn print(&self) {
        let mut total = Count::default();
        self.comments.values().for_each(|count| total.add(count));
        println!("uses for each 10,000 words (and their number)\n");
        println!("{:<34} {:>14} {:>14} {:>14}", "word", "comments", "documents", "strings");
        for (group, words) in self.list.groups.iter().enumerate() {
            let mark = if words.forbidden { "" } else { " *" };
            print!("{:<34}", format!("{}{mark}", words.title()));
            for count in [&total, &self.documents, &self.texts] {
                print!(" {:>14}", shown(count.of(group), count.words));
            }
            println!();
        }
        print!("{:<34}", "all that are forbidden");
        for count in [&total, &self.documents, &self.texts] {
            print!(" {:>14}", shown(self.forbidden(count), count.words));
        }
        println!(
            "\n{:<34} {:>14} {:>14} {:>14}",
            "words in all", total.words, self.documents.words, self.texts.words
        );
        println!("* counted, not forbidden\n");
        self.print_areas();
    }

    fn print_areas(&self) {
        println!("{:<34} {:>14} {:>14}  most frequent", "comments in", "words", "forbidden");
        for (area, count) in &self.comments {
            let mut uses: Vec<(usize, usize)> = count
                .uses
                .iter()
                .filter(|(group, _)| self.list.groups[**group].forbidden)
                .map(|(group, uses)| (*uses, *group))
                .collect();
            uses.sort_unstable_by(|one, other| other.cmp(one));
            let most: Vec<String> = uses
                .iter()
                .take(3)
                .map(|(uses, group)| format!("{} {uses}", self.list.groups[*group].name()))
                .collect();
            let forbidden = shown(self.forbidden(count), count.words);
            println!("{area:<34} {:>14} {forbidden:>14}  {}", count.words, most.join(", "));
        }
    }

    fn forbidden(&self, count: &Count) -> usize {
        let uses = count.uses.iter().filter(|(group, _)| self.list.groups[**group].forbidden);
        uses.map(|(_, uses)| uses).sum()
    }
}

/// The crate of a file, else its top directory.
fn area(path: &str) -> String {
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("crates"), Some(name), Some(_)) => format!("crates/{name}"),
        (Some(top), Some(_), _) => top.to_owned(),
        _ => "the root".to_owned(),
    }
}

fn shown(uses: usize, words: usize) -> String {
    if words == 0 {
        return "-".to_owned();
    }
    format!("{:.1} ({uses})", uses as f64 * 10_000.0 / words as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_a_crate_or_a_top_directory() {
        assert_eq!(area("crates/core/src/lib.rs"), "crates/core");
        assert_eq!(area("interop/python/person.py"), "interop");
        assert_eq!(area("Cargo.toml"), "the root");
    }

    #[test]
    fn a_frequency_counts_for_each_ten_thousand_words() {
        assert_eq!(shown(3, 20_000), "1.5 (3)");
        assert_eq!(shown(0, 0), "-");
    }
}
