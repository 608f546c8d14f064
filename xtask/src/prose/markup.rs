//! Documents in Markdown.

use super::{Kind, Passage};

/// The text without its fenced code blocks; every line stays, so that line numbers hold.
pub(super) fn document(content: &str) -> Vec<Passage> {
    let mut fenced = false;
    let mut text = String::new();
    for line in content.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            text.push_str(line);
        }
        text.push('\n');
    }
    vec![Passage { kind: Kind::Document, line: 1, text }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fenced_code_is_no_text_and_lines_are_kept() {
        let [passage] = &document("one\n```sh\ncode\n```\ntwo\n")[..] else {
            panic!("one passage")
        };
        assert_eq!(passage.text, "one\n\n\n\ntwo\n");
    }
}
