use keybearer_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::KeyPlaceKind;

/// The name of the place of a key that does not exist or cannot be read.
const UNKNOWN: &str = "unknown";

/// What is known about the key of the token store, as `broker status` and `doctor` show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyStatus {
    /// The name of the place that keeps the key (see [`KeyPlaceKind`]); `unknown` if there is no key
    /// yet or it cannot be read.
    #[serde(rename = "key")]
    pub place: String,
    /// Why the key cannot be read.
    #[serde(rename = "key_problem", default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<KeyProblem>,
}

/// Why a key cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyProblem {
    /// The error and its causes.
    pub message: String,
    /// The next step for the person.
    pub hint: Option<String>,
}

impl KeyStatus {
    /// The status of a key that is kept in a place of this kind.
    #[must_use]
    pub fn kept(kind: &KeyPlaceKind) -> Self {
        Self { place: kind.name.to_owned(), problem: None }
    }

    /// The status as long as there is no key.
    #[must_use]
    pub fn absent() -> Self {
        Self { place: UNKNOWN.to_owned(), problem: None }
    }

    fn failed(error: &Error) -> Self {
        let message = std::iter::once(error.message()).chain(error.causes());
        let problem = KeyProblem {
            message: message.collect::<Vec<_>>().join(": "),
            hint: error.hint().map(str::to_owned),
        };
        Self { place: UNKNOWN.to_owned(), problem: Some(problem) }
    }

    /// Where the key is, in words; the problem if there is one.
    #[must_use]
    pub fn description(&self) -> String {
        match (&self.problem, KeyPlaceKind::named(&self.place)) {
            (Some(problem), _) => problem.message.clone(),
            (None, Some(kind)) => kind.description.to_owned(),
            (None, None) if self.place == UNKNOWN => "not made yet".to_owned(),
            (None, None) => format!("in a place that this program does not know: {}", self.place),
        }
    }

    /// How the key could be protected better.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        KeyPlaceKind::named(&self.place)?.advice
    }
}

impl From<Result<Option<&'static KeyPlaceKind>>> for KeyStatus {
    fn from(found: Result<Option<&'static KeyPlaceKind>>) -> Self {
        match found {
            Ok(Some(kind)) => Self::kept(kind),
            Ok(None) => Self::absent(),
            Err(error) => Self::failed(&error),
        }
    }
}
