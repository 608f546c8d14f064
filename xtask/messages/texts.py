"""Prints the texts of Python files that a user may see, one JSON object a line."""

import ast
import json
import sys

LOGS = {"critical", "debug", "error", "exception", "info", "warning"}


def text_of(node):
    """The text of a string or an f-string, with `{}` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "{}" for part in node.values)
    return None


def docstrings(tree):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr):
            yield node.body[0].value


def kind_of(call):
    """What the arguments of a call are."""
    function = call.func
    name = getattr(function, "attr", None) or getattr(function, "id", "")
    if name == "warn":
        return "log"
    if isinstance(function, ast.Attribute) and name in LOGS:
        return "log"
    if name.endswith(("Error", "Exception", "Exit")):
        return "error"
    return None


class Texts(ast.NodeVisitor):
    """Finds the texts of one file."""

    def __init__(self, tree):
        self.found = set()
        self.kind = "other"
        self.not_shown = set(docstrings(tree))

    def visit_Call(self, call):
        before, self.kind = self.kind, kind_of(call) or self.kind
        self.generic_visit(call)
        self.kind = before

    def visit_JoinedStr(self, node):
        self.add(node)

    def visit_Constant(self, node):
        if node not in self.not_shown:
            self.add(node)

    def add(self, node):
        text = text_of(node)
        if text and " " in text.strip() and any(letter.isalpha() for letter in text):
            self.found.add((self.kind, text))


for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as source:
        tree = ast.parse(source.read())
    texts = Texts(tree)
    texts.visit(tree)
    for kind, text in sorted(texts.found):
        print(json.dumps({"path": path, "kind": kind, "text": text}))
