//! The texts in the Rust source of one crate, without its tests.

mod help;
mod macros;
mod values;

use super::sinks::Sinks;
use super::text::{Kind, Text};
use crate::prose::relative;
use crate::source_files::source_files;
use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Pat};

/// Collects the texts below `crates/NAME/src`.
pub(super) fn collect(root: &Path, krate: &Path) -> Result<Vec<Text>> {
    let mut files = Vec::new();
    for file in source_files(&krate.join("src"), &["rs"])? {
        let content = std::fs::read_to_string(&file)
            .with_context(|| format!("could not read {}", file.display()))?;
        let parsed = syn::parse_file(&content)
            .with_context(|| format!("could not parse {}", file.display()))?;
        files.push((file, parsed));
    }
    let tests: BTreeSet<PathBuf> =
        files.iter().flat_map(|(file, parsed)| test_modules(file, &parsed.items)).collect();
    files.retain(|(file, _)| !tests.iter().any(|test| file.starts_with(test)));
    let files: Vec<_> =
        files.into_iter().map(|(file, parsed)| (relative(root, &file), parsed)).collect();
    let mut sinks = Sinks::default();
    loop {
        let texts = files.iter().flat_map(|(path, parsed)| walk(path, parsed, &mut sinks));
        let texts: Vec<Text> = texts.collect();
        if !sinks.settle() {
            return Ok(texts);
        }
    }
}

/// The files and directories of the modules that only tests have.
fn test_modules(file: &Path, items: &[syn::Item]) -> Vec<PathBuf> {
    let directory = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => file.parent().unwrap_or(file).to_owned(),
        Some(_) => file.with_extension(""),
    };
    let modules = items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() && is_test(&module.attrs) => {
            Some(directory.join(module.ident.to_string()))
        }
        _ => None,
    });
    modules.flat_map(|module| [module.with_extension("rs"), module]).collect()
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        path.segments.last().is_some_and(|segment| segment.ident == "test")
            || (path.is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test")))
    })
}

fn walk(path: &str, file: &syn::File, sinks: &mut Sinks) -> Vec<Text> {
    let mut walker = Walker { path, sinks, found: BTreeMap::new(), scopes: Vec::new() };
    walker.visit_file(file);
    let found = walker.found.into_values();
    found.map(|(kind, text)| Text { path: path.to_owned(), kind, text }).collect()
}

/// Walks a file, notes its texts, and learns which names carry a text.
struct Walker<'a> {
    path: &'a str,
    sinks: &'a mut Sinks,
    /// By line and column, because a string may be met twice.
    found: BTreeMap<(usize, usize), (Kind, String)>,
    scopes: Vec<Scope>,
}

/// A function or a named closure, and its parameters.
struct Scope {
    name: String,
    parameters: Vec<Option<String>>,
}

impl Walker<'_> {
    fn record(&mut self, literal: &syn::LitStr, kind: Kind) {
        let text = literal.value();
        let is_prose = text.trim().contains(' ') && text.chars().any(char::is_alphabetic);
        if !is_prose && (kind == Kind::Other || !text.chars().any(char::is_alphabetic)) {
            // An empty hint is a finding; other texts without words are not.
            if kind != Kind::Hint || !text.is_empty() {
                return;
            }
        }
        let start = literal.span().start();
        let entry = self.found.entry((start.line, start.column)).or_insert((kind, text));
        if entry.0 == Kind::Other {
            entry.0 = kind;
        }
    }

    fn within(&mut self, scope: Scope, work: impl FnOnce(&mut Self)) {
        self.scopes.push(scope);
        work(self);
        self.scopes.pop();
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let parameters = signature.inputs.iter().filter_map(|input| match input {
            syn::FnArg::Typed(typed) => Some(name_of(&typed.pat)),
            syn::FnArg::Receiver(_) => None,
        });
        let name = signature.ident.to_string();
        let scope = Scope { name: name.clone(), parameters: parameters.collect() };
        self.within(scope, |walker| {
            if let Some(kind) = walker.sinks.value(&name) {
                walker.tail(block, kind);
            }
            visit::visit_block(walker, block);
        });
    }
}

impl<'ast> Visit<'ast> for Walker<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes: &[Attribute] = match item {
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Enum(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Static(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            for (literal, kind) in help::of_item(item) {
                self.record(&literal, kind);
            }
            visit::visit_item(self, item);
        }
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.block);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        if let Some(kind) = self.sinks.value(&item.ident.to_string()) {
            self.text(&item.expr, kind);
        }
        visit::visit_expr(self, &item.expr);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        let Some(init) = &local.init else { return };
        self.binding(&local.pat, &init.expr);
        match (&*init.expr, name_of(&local.pat)) {
            (Expr::Closure(closure), Some(name)) => {
                let parameters = closure.inputs.iter().map(name_of).collect();
                self.within(Scope { name, parameters }, |walker| {
                    visit::visit_expr(walker, &closure.body);
                });
            }
            _ => visit::visit_local(self, local),
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(callee) = &*call.func {
            let path: Vec<String> =
                callee.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            for (position, argument) in call.args.iter().enumerate() {
                if let Some(kind) = self.sinks.argument(&path, position) {
                    self.text(argument, kind);
                }
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let name = call.method.to_string();
        if name == "expect" {
            // The proof that a failure cannot happen; no user reads it.
            return self.visit_expr(&call.receiver);
        }
        for (position, argument) in call.args.iter().enumerate() {
            if let Some(kind) = self.sinks.method(&name, position) {
                self.text(argument, kind);
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if let syn::Member::Named(name) = &field.member
            && let Some(kind) = Sinks::field(&name.to_string())
        {
            self.text(&field.expr, kind);
        }
        visit::visit_field_value(self, field);
    }

    fn visit_expr_assign(&mut self, assign: &'ast syn::ExprAssign) {
        if let Expr::Field(field) = &*assign.left
            && let syn::Member::Named(name) = &field.member
            && let Some(kind) = Sinks::field(&name.to_string())
        {
            self.text(&assign.right, kind);
        }
        visit::visit_expr_assign(self, assign);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.macro_call(call);
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.record(literal, Kind::Other);
    }
}

fn name_of(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::Ident(name) => Some(name.ident.to_string()),
        Pat::Type(typed) => name_of(&typed.pat),
        Pat::Reference(reference) => name_of(&reference.pat),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of a source with their kinds.
    fn texts(source: &str) -> Vec<(Kind, String)> {
        let file = syn::parse_file(source).unwrap();
        let mut sinks = Sinks::default();
        loop {
            let texts = walk("a.rs", &file, &mut sinks);
            if !sinks.settle() {
                return texts.into_iter().map(|text| (text.kind, text.text)).collect();
            }
        }
    }

    #[test]
    fn constructors_hints_and_logs_are_known() {
        let found = texts(
            r#"fn f() {
                Error::unavailable(Missing::Broker, format!("could not find {x}")).with_hint("run it");
                tracing::warn!(error = %error, code = "no text", "the broker ended");
                let x = value.expect("this cannot fail");
            }"#,
        );
        let expected = [
            (Kind::Error, "could not find {x}"),
            (Kind::Hint, "run it"),
            (Kind::Log, "the broker ended"),
        ];
        assert_eq!(found, expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn what_passes_a_text_on_is_learned() {
        let found = texts(
            r#"const HELP: &str = "install it";
            fn failed(what: &str) -> Error { Error::internal(what).with_hint(hint()) }
            fn hint() -> &'static str { if x { "try again" } else { HELP } }
            fn g() {
                let (message, next) = match y { A => ("a broke", "wait"), B => ("b broke", HELP) };
                failed(message).with_hint(next);
                let inner = |why: &str| failed(why);
                inner("c broke");
            }"#,
        );
        let of = |kind: Kind| -> Vec<&str> {
            let of_kind = found.iter().filter(|(found, _)| *found == kind);
            of_kind.map(|(_, text)| text.as_str()).collect()
        };
        assert_eq!(of(Kind::Error), ["a broke", "b broke", "c broke"]);
        assert_eq!(of(Kind::Hint), ["install it", "try again", "wait"]);
    }

    #[test]
    fn tests_are_left_out() {
        assert!(texts("#[cfg(test)] mod tests { fn f() { g(\"some text\") } }").is_empty());
        let items = syn::parse_file("#[cfg(test)] mod tests;").unwrap().items;
        let modules = test_modules(Path::new("src/a.rs"), &items);
        assert!(modules.contains(&PathBuf::from("src/a/tests.rs")), "{modules:?}");
    }
}
