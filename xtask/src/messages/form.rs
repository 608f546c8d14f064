//! The form of a text, where a rule can decide it.
//!
//! An error is "could not VERB THING: reason" or a plain fact; a hint is an imperative with the next
//! step. Both begin in lower case and have no full stop.

use super::text::{Kind, Text};

/// Verbs that begin an order. A reader takes a message that begins with one for a hint.
const IMPERATIVES: &[&str] = &[
    "acquire",
    "add",
    "allow",
    "ask",
    "bind",
    "build",
    "call",
    "cancel",
    "catch",
    "change",
    "check",
    "choose",
    "close",
    "connect",
    "create",
    "decode",
    "end",
    "fetch",
    "find",
    "forbid",
    "forget",
    "get",
    "give",
    "install",
    "listen",
    "load",
    "lock",
    "look",
    "make",
    "move",
    "name",
    "open",
    "parse",
    "perform",
    "read",
    "receive",
    "redeem",
    "refresh",
    "register",
    "remove",
    "run",
    "seal",
    "see",
    "send",
    "serialise",
    "serve",
    "set",
    "show",
    "sign",
    "start",
    "stop",
    "take",
    "tell",
    "unseal",
    "use",
    "verify",
    "wait",
    "write",
];

/// Names that begin with a capital letter wherever they stand.
const PROPER_NAMES: &[&str] = &[
    "Azure",
    "Chromium",
    "Company",
    "Conditional",
    "Entra",
    "Keybearer",
    "Linux",
    "Microsoft",
    "Microsoft's",
    "Python",
    "Web",
    "Windows",
    "WinRT",
];

/// What is wrong with a text, or nothing.
pub(super) fn fault(text: &Text) -> Option<&'static str> {
    let content = text.text.trim();
    if matches!(text.kind, Kind::Help | Kind::Other) {
        return None;
    }
    if content.is_empty() {
        return Some("is empty");
    }
    if content.ends_with('.') && !content.ends_with("..") {
        return Some("ends with a full stop");
    }
    let first = content.split([' ', ':', ',']).next().unwrap_or_default();
    if is_capitalised(first) && !PROPER_NAMES.contains(&first) {
        return Some("begins with a capital letter");
    }
    let orders = text.kind == Kind::Error && IMPERATIVES.contains(&first);
    orders.then_some("begins with an imperative")
}

/// A capital letter before small ones; codes and abbreviations are no such words.
fn is_capitalised(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(kind: Kind, text: &str) -> Option<&'static str> {
        fault(&Text { path: "a.rs".to_owned(), kind, text: text.to_owned() })
    }

    #[test]
    fn an_error_is_a_fact_and_no_order() {
        for good in ["could not open {}: {error}", "AADSTS50011: x", "{} is not connected"] {
            assert_eq!(verdict(Kind::Error, good), None, "{good}");
        }
        assert!(verdict(Kind::Error, "open a browser: there is no display").is_some());
        assert!(verdict(Kind::Error, "Could not open").is_some());
        assert!(verdict(Kind::Error, "it failed.").is_some());
    }

    #[test]
    fn a_hint_is_an_order_and_never_empty() {
        assert_eq!(verdict(Kind::Hint, "run `keybearer login`"), None);
        assert_eq!(verdict(Kind::Hint, "Windows shows its accounts in the settings"), None);
        assert!(verdict(Kind::Hint, "").is_some());
        assert!(verdict(Kind::Hint, "Run it").is_some());
        assert!(verdict(Kind::Log, "the broker ended.").is_some());
    }
}
