//! `words`: how often the words of `xtask/forbidden-words.txt` are used, by crate and in total.

mod frequency;
mod list;

use crate::prose::{self, Kind};
use crate::tools::Repository;
use anyhow::Result;
use frequency::Frequencies;
use list::WordList;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Print every use of a forbidden word with its file and line instead of the frequencies
    #[arg(long)]
    list: bool,
    /// Read only files whose path begins with this
    #[arg(long, value_name = "PATH", default_value = "")]
    under: String,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let repository = Repository::here();
    let list = WordList::read(&repository)?;
    let mut prose = prose::read_all(&repository)?;
    prose.retain(|file| file.path.starts_with(&options.under));
    if options.list {
        for use_ in forbidden_uses(&prose, &list) {
            println!("{use_}");
        }
    } else {
        Frequencies::count(&prose, &list).print();
    }
    Ok(())
}

fn forbidden_uses(prose: &[prose::Prose], list: &WordList) -> Vec<String> {
    let mut found = Vec::new();
    for file in prose {
        for passage in &file.passages {
            for hit in list.matches(passage) {
                let group = &list.groups[hit.group];
                if group.forbidden && !list.excepts(&file.path, &hit.phrase) {
                    let (path, line) = (&file.path, hit.line);
                    found.push(format!("{path}:{line}: \"{}\": {}", hit.phrase, group.advice));
                }
            }
        }
    }
    found
}

/// Whether a name is a sentence, as the names of tests are.
fn is_sentence(kind: Kind, text: &str) -> bool {
    kind == Kind::Name && text.split('_').filter(|part| !part.is_empty()).count() >= 4
}
