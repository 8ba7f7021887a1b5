"""Constructors that stay as they are written, without what this network does not need of them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any

from nas.models.standalone.classes.inspection import Method
from nas.models.standalone.syntax.expressions import constant
from nas.models.standalone.syntax.trees import own_attribute, read_attributes


def write_defaults(init: ast.FunctionDef, kind: type) -> None:
    """Write the values of defaults that are plain and not written as such."""
    parameters = inspect.signature(kind.__init__).parameters  # type: ignore[misc]
    named = init.args.args[len(init.args.args) - len(init.args.defaults) :]
    for index, (argument, default) in enumerate(zip(named, init.args.defaults, strict=True)):
        is_plain = constant(parameters[argument.arg].default) is not None
        if is_plain and not isinstance(default, ast.Constant | ast.UnaryOp | ast.Tuple):
            init.args.defaults[index] = _as_tree(parameters[argument.arg].default)


def _as_tree(value: Any) -> ast.expr:
    return (
        ast.Tuple([_as_tree(item) for item in value], ast.Load()) if isinstance(value, tuple) else ast.Constant(value)
    )


def prune_constructor(methods: Mapping[str, Method], read_outside: frozenset[str]) -> frozenset[str]:
    """Leave out what the constructor assigns and nobody reads, and arguments that it then has no use for; their names."""
    init = methods["__init__"].tree
    read = {name for method in methods.values() for name in read_attributes(method.tree)} | read_outside
    init.body = [pruned for statement in init.body if (pruned := _pruned(statement, read)) is not None]
    loaded = {node.id for node in ast.walk(init) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    arguments = init.args
    unused = {argument.arg for argument in arguments.args[1:] if argument.arg not in loaded}
    first_default = len(arguments.args) - len(arguments.defaults)
    arguments.defaults = [
        default
        for index, default in enumerate(arguments.defaults)
        if arguments.args[first_default + index].arg not in unused
    ]
    arguments.args = [argument for argument in arguments.args if argument.arg not in unused]
    return frozenset(unused)


def _pruned(statement: ast.stmt, read: set[str]) -> ast.stmt | None:
    """`statement` without assignments of plain values to attributes of `self` that are not `read`."""
    match statement:
        case ast.Assign(targets=[ast.Attribute() as target], value=value):
            return None if _is_unread(target, value, read) else statement
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)) if len(targets) == len(values):
            kept = [pair for pair in zip(targets, values, strict=True) if not _is_unread(*pair, read)]
            if len(kept) == len(targets):
                return statement
            if not kept:
                return None
            names, items = [pair[0] for pair in kept], [pair[1] for pair in kept]
            if len(kept) == 1:
                return ast.copy_location(ast.Assign(names, items[0]), statement)
            return ast.copy_location(
                ast.Assign([ast.Tuple(names, ast.Store())], ast.Tuple(items, ast.Load())), statement
            )
    return statement


def _is_unread(target: ast.expr, value: ast.expr, read: set[str]) -> bool:
    """True for an attribute that is not `read` and cannot be a module or parameter: no call makes its value."""
    name = own_attribute(target)
    return name is not None and name not in read and not any(isinstance(node, ast.Call) for node in ast.walk(value))
