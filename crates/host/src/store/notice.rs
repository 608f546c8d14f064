use std::fmt;
use std::path::PathBuf;

/// Damage to the store that was found and repaired, which a person should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreNotice {
    /// Where a copy of the damaged file is.
    pub set_aside: PathBuf,
    /// How many records could be read from it and are in the new file.
    pub recovered: usize,
    /// The names of the records that could not be read.
    pub lost: Vec<String>,
    /// How many changes are missing of which not even the record's name could be read.
    pub unnamed: u64,
}

/// More names than these are counted only.
const NAMED: usize = 5;

impl fmt::Display for StoreNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { set_aside, recovered, lost, unnamed } = self;
        write!(f, "the token store was damaged: ")?;
        match (lost.len() as u64 + unnamed, *recovered) {
            (0, 0) => write!(f, "no record could be read")?,
            (0, recovered) => write!(f, "all {recovered} records were recovered")?,
            (_, recovered) => {
                let mut parts = Vec::new();
                if !lost.is_empty() {
                    let names = lost.iter().take(NAMED).map(String::as_str);
                    let more = match lost.len().saturating_sub(NAMED) {
                        0 => String::new(),
                        more => format!(" and {more} more"),
                    };
                    let names = names.collect::<Vec<_>>().join(", ");
                    parts.push(format!("{} lost ({names}{more})", records(lost.len() as u64)));
                }
                if *unnamed > 0 {
                    parts.push(format!("{} missing", changes(*unnamed)));
                }
                parts.push(format!("{} recovered", records(recovered as u64)));
                write!(f, "{}", parts.join(", "))?;
            }
        }
        write!(f, "; the damaged file was kept as {}", set_aside.display())
    }
}

fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

fn changes(count: u64) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}
