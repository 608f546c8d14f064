//! Where a string has to go to be a message, a hint or a log line. The constructors of errors are
//! known; functions, constants and variables of a crate that pass a string on to them are learned.

use super::text::Kind;
use std::collections::BTreeMap;

/// What is known about the names of one crate.
#[derive(Default)]
pub(super) struct Sinks {
    /// Arguments of functions and closures, by name and position.
    arguments: BTreeMap<(String, usize), Kind>,
    /// Functions and constants whose value is a text.
    values: BTreeMap<String, Kind>,
    /// Variables, by file and name.
    variables: BTreeMap<(String, String), Kind>,
    /// Whether something was learned since the last [`settle`](Self::settle).
    changed: bool,
}

/// Constructors that take a message: the last part of the path and the position of the message.
const CONSTRUCTORS: &[(&str, usize)] = &[
    ("cancelled", 0),
    ("interaction_required", 0),
    ("internal", 0),
    ("invalid_request", 1),
    ("new", 1),
    ("new_err", 0),
    ("other", 0),
    ("timed_out", 0),
    ("transient", 1),
    ("unavailable", 1),
    ("with_message", 1),
];

/// Methods that take a text, and the kind of the text.
const METHODS: &[(&str, Kind)] =
    &[("context", Kind::Error), ("with_context", Kind::Error), ("with_hint", Kind::Hint)];

/// Fields of structs that hold a text.
const FIELDS: &[(&str, Kind)] = &[("hint", Kind::Hint), ("message", Kind::Error)];

impl Sinks {
    /// The kind of an argument of the function at this path.
    pub(super) fn argument(&self, path: &[String], position: usize) -> Option<Kind> {
        let name = path.last()?;
        let of_error = path.len() > 1
            && path.get(path.len() - 2).is_some_and(|owner| {
                owner.ends_with("Error") || owner.ends_with("Exception") || name == "new_err"
            });
        if of_error && CONSTRUCTORS.contains(&(name.as_str(), position)) {
            return Some(Kind::Error);
        }
        self.arguments.get(&(name.clone(), position)).copied()
    }

    pub(super) fn method(&self, name: &str, position: usize) -> Option<Kind> {
        let known = METHODS.iter().find(|(method, _)| *method == name && position == 0);
        known
            .map(|(_, kind)| *kind)
            .or_else(|| self.arguments.get(&(name.to_owned(), position)).copied())
    }

    pub(super) fn field(name: &str) -> Option<Kind> {
        FIELDS.iter().find(|(field, _)| *field == name).map(|(_, kind)| *kind)
    }

    pub(super) fn value(&self, name: &str) -> Option<Kind> {
        self.values.get(name).copied()
    }

    pub(super) fn variable(&self, file: &str, name: &str) -> Option<Kind> {
        self.variables.get(&(file.to_owned(), name.to_owned())).copied()
    }

    pub(super) fn learn_argument(&mut self, name: &str, position: usize, kind: Kind) {
        let entry = self.arguments.entry((name.to_owned(), position));
        self.changed |= learn(entry, kind);
    }

    pub(super) fn learn_value(&mut self, name: &str, kind: Kind) {
        let entry = self.values.entry(name.to_owned());
        self.changed |= learn(entry, kind);
    }

    pub(super) fn learn_variable(&mut self, file: &str, name: &str, kind: Kind) {
        let entry = self.variables.entry((file.to_owned(), name.to_owned()));
        self.changed |= learn(entry, kind);
    }

    /// Whether something was learned since this was last asked.
    pub(super) fn settle(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// Keeps the first kind: a text that is both an error and a hint is listed as an error.
fn learn<K: Ord>(entry: std::collections::btree_map::Entry<'_, K, Kind>, kind: Kind) -> bool {
    let mut new = false;
    entry.or_insert_with(|| {
        new = true;
        kind
    });
    new
}
