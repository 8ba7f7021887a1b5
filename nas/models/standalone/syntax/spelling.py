"""Expressions as code in one line: as in their file, or as formatters spell them."""

from __future__ import annotations

import ast
import re

from nas.models.standalone.syntax.expressions import quoted
from nas.models.standalone.syntax.source_files import SourceFile
from nas.models.standalone.syntax.trees import copied

REMARKS_FOR_TOOLS = re.compile(r"\s*# (type: ignore|noqa|pragma)\b.*$")

DELIMITED = (ast.Attribute, ast.Call, ast.Constant, ast.List, ast.ListComp, ast.Name, ast.Subscript)
"""Expressions that need no brackets in another."""


def spelled(node: ast.AST, source: SourceFile) -> str:
    """The code of `node`, a statement or an expression, in one line, as in the file as far as it is unchanged."""
    if isinstance(node, ast.expr) and source.is_unchanged(node):
        return _in_file(node, source)
    return ast.unparse(_Spelling(source).visit(copied(node)))


def _in_file(node: ast.expr, source: SourceFile) -> str:
    """The code of an unchanged expression, in one line."""
    lines = source.segment(node).splitlines()
    code = " ".join(REMARKS_FOR_TOOLS.sub("", line).strip() for line in lines)
    return code if len(lines) == 1 else re.sub(r",? (?=[)\]}])", "", re.sub(r"(?<=[(\[{]) ", "", code))


class _Spelling(ast.NodeTransformer):
    """Replaces what `ast.unparse` spells otherwise than formatters by names that are spelled as it should be."""

    def __init__(self, source: SourceFile) -> None:
        self.source = source

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, DELIMITED) and self.source.is_unchanged(node):
            return ast.Name(_in_file(node, self.source))
        return super().visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str):
            return ast.Name(quoted(node.value))
        if isinstance(node.value, float):
            return ast.Name(repr(node.value).replace("e-0", "e-"))
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Tuple) and len(node.value.elts) > 1:
            node.value = ast.Name(", ".join(ast.unparse(item) for item in node.value.elts))
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Name(self.source.segment(node))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Pow) and _is_simple(node.left) and _is_simple(node.right):
            return ast.Name(f"{ast.unparse(node.left)}**{ast.unparse(node.right)}")
        return node

    def visit_Slice(self, node: ast.Slice) -> ast.AST:
        self.generic_visit(node)
        ends = [end for end in (node.lower, node.upper, node.step) if end is not None]
        if all(_is_simple(end) and not isinstance(end, ast.Attribute) for end in ends):
            return node
        lower, upper = (f"{ast.unparse(end)} " if end is not None else "" for end in (node.lower, node.upper))
        step = f": {ast.unparse(node.step)}" if node.step is not None else ""
        return ast.Name(f"{lower}:{' ' + upper.rstrip() if upper else ''}{step}")


def _is_simple(node: ast.expr) -> bool:
    """True for names, numbers, attributes of names, and their negatives."""
    match node:
        case ast.Name(id=name):
            return name.replace(".", "").isidentifier() or name.replace(".", "").replace("-", "").isalnum()
        case ast.Constant():
            return True
        case ast.UnaryOp(operand=operand) if not isinstance(node.op, ast.Not):
            return _is_simple(operand)
        case ast.Attribute(value=value):
            return isinstance(value, ast.Name | ast.Attribute) and _is_simple(value)
    return False
