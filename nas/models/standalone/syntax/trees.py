"""Syntax trees: copies, attributes of `self`, docstrings."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, TypeVar

N = TypeVar("N", bound=ast.AST)


def copied(node: N) -> N:
    """A copy of a whole tree; several times as fast as `copy.deepcopy`."""
    new = type(node)()
    vars(new).update({name: _copied(value) for name, value in vars(node).items()})
    return new


def _copied(value: Any) -> Any:
    if isinstance(value, ast.AST):
        return copied(value)
    return [_copied(item) for item in value] if isinstance(value, list) else value


def own_attribute(node: ast.AST) -> str | None:
    """The name of the attribute if `node` is one of `self`."""
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
    return None


def read_attributes(tree: ast.AST) -> set[str]:
    """The attributes of `self` that are read."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and own_attribute(node) is not None
    }


def without_docstring(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements of a function or class after its docstring."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return list(body)
