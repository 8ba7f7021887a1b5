"""Code without what a given network never does.

`fold` evaluates the conditions that are known, and leaves out the branches that are never taken: other ways of computing the same
numbers (`search_space/modules/eager.py`), what serves tracing alone, and options that no layer of the network has.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TypeVar, cast

from nas.models.standalone.syntax.known_values import SHORT_FASTER_WAYS, Facts, UnknownValueError, decide
from nas.models.standalone.syntax.trees import own_attribute

N = TypeVar("N", bound=ast.AST)


def fold(node: N, facts: Facts) -> N:
    """`node`, a function or a statement, without the branches that are never taken; a copy is not made."""
    place = (facts.namespace.get("__name__"), getattr(node, "name", None))
    folded = cast(N, _Folder(replace(facts, takes_faster_way=place in SHORT_FASTER_WAYS)).visit(node))
    if isinstance(folded, ast.FunctionDef):
        _remove_unused_locals(folded)
    return folded


class _Folder(ast.NodeTransformer):
    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):
                setattr(node, name, _until_the_end(statements))
        return node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        try:
            branch = node.body if decide(node.test, self.facts) else node.orelse
        except UnknownValueError:
            node.test = self._condition(node.test)
            return self.generic_visit(node)
        statements: list[ast.stmt] = []
        for statement in branch:
            folded = self.visit(statement)
            statements += folded if isinstance(folded, list) else [folded]
        return statements

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        try:
            return self.visit(node.body if decide(node.test, self.facts) else node.orelse)
        except UnknownValueError:
            node.test = self._condition(node.test)
            return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        match node:
            case ast.Call(func=ast.Name(id="cast"), args=[_, value]) if self.facts.namespace.get("cast") is cast:
                return self.visit(value)
            case ast.Call(func=function, args=[value], keywords=[]) if _path(function) in self.facts.identities:
                return self.visit(value)
        return self.generic_visit(node)

    def _condition(self, test: ast.expr) -> ast.expr:
        """`test` without operands of `and` and `or` that are known."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test.operand = self._condition(test.operand)
        if not isinstance(test, ast.BoolOp):
            return test
        operands = []
        for operand in test.values:
            try:
                decide(operand, self.facts)
            except UnknownValueError:
                operands.append(self._condition(operand))
        if len(operands) > 1:
            test.values = operands
            return test
        return operands[0]


def _until_the_end(statements: list[ast.stmt]) -> list[ast.stmt]:
    """`statements` as far as they are reached."""
    for index, statement in enumerate(statements):
        if isinstance(statement, ast.Return | ast.Raise):
            return statements[: index + 1]
    return statements


def _remove_unused_locals(function: ast.FunctionDef) -> None:
    """Leave out assignments of one name that is never read, of a name to itself, and of what is returned at once."""
    _SelfAssignments().visit(function)
    match function.body:
        case [
            *first,
            ast.Assign(targets=[ast.Name(id=name)], value=value),
            ast.Return(value=ast.Name(id=returned)) as last,
        ]:
            if name == returned:
                last.value = value
                function.body = [*first, last]
    while True:
        loaded = {
            node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        unused = [
            statement
            for statement in function.body
            if isinstance(statement, ast.Assign)
            and all(isinstance(target, ast.Name) and target.id not in loaded for target in statement.targets)
        ]
        if not unused:
            return
        function.body = [statement for statement in function.body if statement not in unused]


class _SelfAssignments(ast.NodeTransformer):
    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Name(id=value)) if target == value:
                return None
        return node


def _path(node: ast.expr) -> str | None:
    """`name` of `self.name`, `part.name` of `self.part.name`."""
    if isinstance(node, ast.Attribute) and (part := own_attribute(node.value)) is not None:
        return f"{part}.{node.attr}"
    return own_attribute(node)
