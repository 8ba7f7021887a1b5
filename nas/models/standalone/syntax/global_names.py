"""Which names in a piece of code are global names of its module."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def global_names(node: ast.AST, bound: frozenset[str] = frozenset()) -> Iterator[ast.Name]:
    """The names in `node` that are read and are no local variables; those of annotations are left out.

    Args:
        node: a statement or an expression.
        bound: local variables of the functions around it.
    """
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load) and node.id not in bound:
            yield node
        return
    if isinstance(node, SCOPES):
        inner = bound | _locals(node)
        for child in _outside(node):
            yield from global_names(child, bound)
        for child in node.body if isinstance(node.body, list) else [node.body]:
            yield from global_names(child, inner)
        return
    if isinstance(node, COMPREHENSIONS):
        bound = bound | _stored(node)
    for name, value in ast.iter_fields(node):
        if isinstance(node, ast.AnnAssign) and name == "annotation":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from global_names(child, bound)


def change_annotations(node: ast.AST, change: Callable[[ast.expr], ast.expr | None]) -> None:
    """Replace each annotation of parameters and results in `node` by what `change` makes of it; None: no annotation."""
    for child in ast.walk(node):
        if isinstance(child, ast.arg) and child.annotation is not None:
            child.annotation = change(child.annotation)
        elif isinstance(child, ast.FunctionDef) and child.returns is not None:
            child.returns = change(child.returns)


def _outside(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.AST]:
    """What is evaluated where the function is defined."""
    defaults = [*function.args.defaults, *(default for default in function.args.kw_defaults if default is not None)]
    return [*getattr(function, "decorator_list", []), *defaults]


def _locals(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> frozenset[str]:
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    variadic = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    body = function.body if isinstance(function.body, list) else [function.body]
    stored = frozenset(name for child in body for name in _stored(child))
    return stored | {argument.arg for argument in (*parameters, *variadic)}


def _stored(node: ast.AST) -> frozenset[str]:
    """The names that are assigned in `node`, those of functions defined in it too."""
    names = {
        child.id for child in ast.walk(node) if isinstance(child, ast.Name) and not isinstance(child.ctx, ast.Load)
    }
    names |= {child.name for child in ast.walk(node) if isinstance(child, ast.FunctionDef | ast.ClassDef)}
    return frozenset(names | {child.name for child in ast.walk(node) if isinstance(child, ast.MatchAs) and child.name})
