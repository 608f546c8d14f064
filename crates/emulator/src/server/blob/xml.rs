//! The XML of the storage service.

/// A document whose root holds these elements, each with text only.
pub(super) fn document(root: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(name, text)| element(name, text)).collect();
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><{root}>{fields}</{root}>")
}

/// One element with escaped text.
pub(super) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
