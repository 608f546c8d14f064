//! Follows an expression whose value is shown to a user to the strings it may be.

use super::{Walker, macros, name_of};
use crate::messages::text::Kind;
use syn::{Expr, Pat};

/// Functions that wrap a value without changing its text.
const WRAPPERS: &[&str] = &["Borrowed", "Err", "Ok", "Owned", "Some", "from"];

/// Methods whose receiver is the text.
const CONVERSIONS: &[&str] = &[
    "as_deref",
    "as_ref",
    "as_str",
    "clone",
    "into",
    "into_owned",
    "or",
    "or_else",
    "to_owned",
    "to_string",
    "unwrap_or",
    "unwrap_or_else",
];

/// Methods whose arguments, or the results of their closures, are the text.
const CHOICES: &[&str] = &[
    "and_then",
    "map",
    "map_or",
    "map_or_else",
    "or",
    "or_else",
    "then",
    "then_some",
    "unwrap_or",
    "unwrap_or_else",
];

impl Walker<'_> {
    /// Notes the strings that this expression may be.
    pub(super) fn text(&mut self, expression: &Expr, kind: Kind) {
        match expression {
            Expr::Lit(literal) => {
                if let syn::Lit::Str(text) = &literal.lit {
                    self.record(text, kind);
                }
            }
            Expr::Macro(call) if macros::is_format(&call.mac) => {
                self.format(&call.mac, kind);
            }
            Expr::Path(path) => {
                if let Some(name) = path.path.segments.last() {
                    self.name(&name.ident.to_string(), kind);
                }
            }
            Expr::Call(call) => self.call(call, kind),
            Expr::MethodCall(call) => self.method(call, kind),
            _ => self.tails(expression, &mut |walker, tail| walker.text(tail, kind)),
        }
    }

    /// Notes the strings that the last expression of a block may be.
    pub(super) fn tail(&mut self, block: &syn::Block, kind: Kind) {
        if let Some(last) = last(block) {
            self.text(last, kind);
        }
    }

    /// Follows the names that a `let` binds, if one is known to carry a text.
    pub(super) fn binding(&mut self, pattern: &Pat, value: &Expr) {
        if let Pat::Tuple(tuple) = pattern {
            for (position, element) in tuple.elems.iter().enumerate() {
                let kind = name_of(element).and_then(|name| self.sinks.variable(self.path, &name));
                if let Some(kind) = kind {
                    self.element(value, position, kind);
                }
            }
        } else if let Some(kind) =
            name_of(pattern).and_then(|name| self.sinks.variable(self.path, &name))
        {
            self.text(value, kind);
        }
    }

    /// Notes the strings that one element of a tuple may be.
    fn element(&mut self, value: &Expr, position: usize, kind: Kind) {
        match value {
            Expr::Tuple(tuple) => {
                if let Some(element) = tuple.elems.get(position) {
                    self.text(element, kind);
                }
            }
            _ => self.tails(value, &mut |walker, tail| walker.element(tail, position, kind)),
        }
    }

    /// Calls `each` with the expressions that this one may end in.
    fn tails(&mut self, expression: &Expr, each: &mut dyn FnMut(&mut Self, &Expr)) {
        let tails: Vec<&Expr> = match expression {
            Expr::Block(block) => last(&block.block).into_iter().collect(),
            Expr::Closure(closure) => vec![&closure.body],
            Expr::Group(group) => vec![&group.expr],
            Expr::If(choice) => {
                let otherwise = choice.else_branch.iter().map(|(_, branch)| &**branch);
                last(&choice.then_branch).into_iter().chain(otherwise).collect()
            }
            Expr::Match(choice) => choice.arms.iter().map(|arm| &*arm.body).collect(),
            Expr::Paren(inner) => vec![&inner.expr],
            Expr::Reference(reference) => vec![&reference.expr],
            Expr::Try(attempt) => vec![&attempt.expr],
            _ => Vec::new(),
        };
        for tail in tails {
            each(self, tail);
        }
    }

    fn call(&mut self, call: &syn::ExprCall, kind: Kind) {
        let Expr::Path(callee) = &*call.func else { return };
        let Some(name) = callee.path.segments.last().map(|segment| segment.ident.to_string())
        else {
            return;
        };
        if WRAPPERS.contains(&name.as_str()) {
            call.args.iter().for_each(|argument| self.text(argument, kind));
        } else {
            self.sinks.learn_value(&name, kind);
        }
    }

    fn method(&mut self, call: &syn::ExprMethodCall, kind: Kind) {
        let name = call.method.to_string();
        if CONVERSIONS.contains(&name.as_str()) {
            self.text(&call.receiver, kind);
        } else if matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident("self")) {
            self.sinks.learn_value(&name, kind);
        }
        if CHOICES.contains(&name.as_str()) {
            call.args.iter().for_each(|argument| self.text(argument, kind));
        }
    }

    /// Learns that a constant, a parameter or a variable carries a text.
    pub(super) fn name(&mut self, name: &str, kind: Kind) {
        if name.chars().all(|letter| letter.is_uppercase() || matches!(letter, '_' | '0'..='9')) {
            return self.sinks.learn_value(name, kind);
        }
        for scope in self.scopes.iter().rev() {
            let named = |parameter: &Option<String>| parameter.as_deref() == Some(name);
            if let Some(position) = scope.parameters.iter().position(named) {
                return self.sinks.learn_argument(&scope.name, position, kind);
            }
        }
        self.sinks.learn_variable(self.path, name, kind);
    }
}

fn last(block: &syn::Block) -> Option<&Expr> {
    match block.stmts.last() {
        Some(syn::Stmt::Expr(last, None)) => Some(last),
        _ => None,
    }
}
