//! Texts in macro calls.

use super::Walker;
use crate::messages::text::Kind;
use proc_macro2::{TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::visit::Visit as _;
use syn::{Expr, Token};

/// Macros of `tracing`.
const LOGS: &[&str] = &["debug", "error", "info", "trace", "warn"];
/// Macros that make an error of their text.
const ERRORS: &[&str] = &["anyhow", "bail"];
/// Macros whose text is for developers: it shows only if a proof was wrong.
const PROOFS: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "panic",
    "unreachable",
];

pub(super) fn is_format(call: &syn::Macro) -> bool {
    call.path.is_ident("format")
}

impl Walker<'_> {
    pub(super) fn macro_call(&mut self, call: &syn::Macro) {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string());
        let name = name.as_deref().unwrap_or_default();
        if PROOFS.contains(&name) {
            return;
        }
        if LOGS.contains(&name) {
            if let Some(text) = last_text(call.tokens.clone()) {
                self.record(&text, Kind::Log);
            }
        } else if ERRORS.contains(&name) {
            self.format(call, Kind::Error);
        } else if let Some(arguments) = arguments(call) {
            arguments.iter().for_each(|argument| self.visit_expr(argument));
        } else {
            for text in all_texts(call.tokens.clone()) {
                self.record(&text, Kind::Other);
            }
        }
    }

    /// Notes the text of `format!`. A text that begins with an argument begins as that argument does.
    pub(super) fn format(&mut self, call: &syn::Macro, kind: Kind) {
        let Some(arguments) = arguments(call) else { return };
        let mut arguments = arguments.iter();
        let Some(Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. })) = arguments.next()
        else {
            return;
        };
        self.record(text, kind);
        let first = text.value();
        let first = first.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        match first {
            Some(("", _)) => {
                if let Some(argument) = arguments.next() {
                    self.text(argument, kind);
                }
            }
            Some((name, _)) => self.name(name, kind),
            None => {}
        }
    }
}

fn arguments(call: &syn::Macro) -> Option<Vec<Expr>> {
    let parse = Punctuated::<Expr, Token![,]>::parse_terminated;
    call.parse_body_with(parse).ok().map(|arguments| arguments.into_iter().collect())
}

/// The last string that is not the value of a field.
fn last_text(tokens: TokenStream) -> Option<syn::LitStr> {
    let (mut last, mut after_equals) = (None, false);
    for token in tokens {
        if !after_equals && let Some(text) = text_of(&token) {
            last = Some(text);
        }
        after_equals = matches!(&token, TokenTree::Punct(mark) if mark.as_char() == '=');
    }
    last
}

fn all_texts(tokens: TokenStream) -> Vec<syn::LitStr> {
    let mut found = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => found.extend(all_texts(group.stream())),
            token => found.extend(text_of(&token)),
        }
    }
    found
}

fn text_of(token: &TokenTree) -> Option<syn::LitStr> {
    let TokenTree::Literal(literal) = token else { return None };
    match syn::Lit::new(literal.clone()) {
        syn::Lit::Str(text) => Some(text),
        _ => None,
    }
}
