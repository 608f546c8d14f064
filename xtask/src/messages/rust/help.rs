//! Help of commands and options: doc comments that clap shows, and the texts in its attributes.

use crate::messages::text::Kind;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Fields, Item, LitStr, Meta, Token};

const DERIVES: &[&str] = &["Args", "Parser", "Subcommand", "ValueEnum"];
const SHOWN: &[&str] = &["about", "after_help", "before_help", "help", "long_about", "long_help"];

/// The texts that clap shows for this item.
pub(super) fn of_item(item: &Item) -> Vec<(LitStr, Kind)> {
    let (attributes, inner): (&[Attribute], Vec<&[Attribute]>) = match item {
        Item::Struct(item) => (&item.attrs, of_fields(&item.fields)),
        Item::Enum(item) => {
            let variants = item.variants.iter();
            let inner = variants.flat_map(|variant| {
                let mut attributes = vec![variant.attrs.as_slice()];
                attributes.extend(of_fields(&variant.fields));
                attributes
            });
            (&item.attrs, inner.collect())
        }
        _ => return Vec::new(),
    };
    if !attributes.iter().any(is_command) {
        return Vec::new();
    }
    let mut texts = Vec::new();
    for attributes in std::iter::once(attributes).chain(inner) {
        texts.extend(doc(attributes));
        texts.extend(attributes.iter().flat_map(shown));
    }
    texts.into_iter().map(|text| (text, Kind::Help)).collect()
}

fn of_fields(fields: &Fields) -> Vec<&[Attribute]> {
    fields.iter().map(|field| field.attrs.as_slice()).collect()
}

fn is_command(attribute: &Attribute) -> bool {
    let paths = Punctuated::<syn::Path, Token![,]>::parse_terminated;
    attribute.path().is_ident("derive")
        && attribute.parse_args_with(paths).is_ok_and(|paths| {
            let mut names = paths.iter().filter_map(|path| path.segments.last());
            names.any(|name| DERIVES.iter().any(|derive| name.ident == derive))
        })
}

/// The doc comment as one text, at the place of its first line.
fn doc(attributes: &[Attribute]) -> Option<LitStr> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => as_text(&pair.value),
        _ => None,
    });
    let lines: Vec<LitStr> = lines.collect();
    let text: Vec<String> = lines.iter().map(|line| line.value().trim().to_owned()).collect();
    Some(LitStr::new(text.join(" ").trim(), lines.first()?.span()))
}

fn shown(attribute: &Attribute) -> Vec<LitStr> {
    let metas = Punctuated::<Meta, Token![,]>::parse_terminated;
    if !["arg", "command", "value"].iter().any(|name| attribute.path().is_ident(name)) {
        return Vec::new();
    }
    let metas = attribute.parse_args_with(metas).unwrap_or_default();
    let texts = metas.iter().filter_map(|meta| match meta {
        Meta::NameValue(pair) if SHOWN.iter().any(|name| pair.path.is_ident(name)) => {
            as_text(&pair.value)
        }
        _ => None,
    });
    texts.collect()
}

fn as_text(value: &Expr) -> Option<LitStr> {
    match value {
        Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_their_options_have_help() {
        let source = "#[derive(clap::Args)]\n/// Lists\n/// them\nstruct A {\n/// One\n#[arg(long, help = \"two\")]\na: bool }";
        let item: Item = syn::parse_str(source).unwrap();
        let texts: Vec<String> = of_item(&item).iter().map(|(text, _)| text.value()).collect();
        assert_eq!(texts, ["Lists them", "One", "two"]);
        let plain: Item = syn::parse_str("/// No command\nstruct A;").unwrap();
        assert!(of_item(&plain).is_empty());
    }
}
