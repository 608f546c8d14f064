//! Reading `WWW-Authenticate` (RFC 9110 §11.6.1) as services of Azure write it: with commas or
//! spaces, with or without quotes.

/// The `name=value` pairs of a header; what else there is, such as the schemes, is passed over.
pub(crate) fn parameters(mut header: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    while let Some((before, after)) = header.split_once('=') {
        let name = before.rsplit([' ', ',', '\t']).next().unwrap_or_default();
        let (value, rest) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = after.find([' ', ',', '\t']).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        found.push((name, value));
        header = rest;
    }
    found
}

/// A quoted-string up to its closing quote (RFC 9110 §5.6.4), and what follows it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &text[index + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}
