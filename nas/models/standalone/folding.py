"""Code without what a given network never does.

`fold` evaluates the conditions that are known, and leaves out the branches that are never taken: other ways of computing the same
numbers (`search_space/modules/eager.py`), what serves tracing alone, and options that no layer of the network has.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from search_space.modules import eager, torch_internals

N = TypeVar("N", bound=ast.AST)

FALSE_CALLS: tuple[object, ...] = (
    eager.may_rewrite,
    eager.runs_eagerly,
    eager.may_bypass,
    torch_internals.is_transforming,
    torch_internals.has_hooks,
    torch_internals.has_global_hooks,
)
"""Functions that ask whether a faster way may be taken, or whether code is traced: a standalone file computes by definitions."""
FALSE_TEXTS = ("torch.jit.is_tracing()", "torch.compiler.is_compiling()", "torch.jit.is_scripting()")
PROXY = "torch.fx.Proxy"
BUILTINS: Mapping[str, Callable[..., Any]] = {"min": min, "max": max, "len": len, "any": any, "all": all, "abs": abs}
OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class UnknownValueError(Exception):
    """The value of an expression is known only when the code runs."""


@dataclass(frozen=True)
class Facts:
    """What is known of the code that `fold` reads.

    Args:
        namespace: the global names of its module.
        cases: of each module that runs the code, names of arguments and `self.NAME` of attributes -> their values.
        calls: methods of `self` -> what they return in any case.
        identities: attributes of `self` that return their argument when they are called, those of its parts as `part.name`.
    """

    namespace: Mapping[str, Any]
    cases: tuple[Mapping[str, Any], ...] = ({},)
    calls: Mapping[str, Any] = field(default_factory=dict)
    identities: frozenset[str] = frozenset()


def fold(node: N, facts: Facts) -> N:
    """`node`, a function or a statement, without the branches that are never taken; a copy is not made."""
    folded = cast(N, _Folder(facts).visit(node))
    if isinstance(folded, ast.FunctionDef):
        _remove_unused_locals(folded)
    return folded


def own_attribute(node: ast.AST) -> str | None:
    """The name of the attribute if `node` is one of `self`."""
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
    return None


def _path(node: ast.expr) -> str | None:
    """`name` of `self.name`, `part.name` of `self.part.name`."""
    if isinstance(node, ast.Attribute) and (part := own_attribute(node.value)) is not None:
        return f"{part}.{node.attr}"
    return own_attribute(node)


def without_docstring(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements of a function or class after its docstring."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return list(body)


def decide(test: ast.expr, facts: Facts) -> bool:
    """Whether a condition holds in each case, or in none.

    Raises:
        UnknownValueError: it is known only when the code runs, or differs from case to case.
    """
    outcomes = {bool(evaluate(test, facts, case)) for case in facts.cases}
    if len(outcomes) != 1:
        raise UnknownValueError
    return outcomes.pop()


def evaluate(node: ast.expr, facts: Facts, values: Mapping[str, Any]) -> Any:
    """The value of an expression in one case.

    Raises:
        UnknownValueError: it is known only when the code runs.
    """
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.Attribute() if f"self.{own_attribute(node)}" in values:
            return values[f"self.{own_attribute(node)}"]
        case ast.Tuple(elts=items):
            return tuple(evaluate(item, facts, values) for item in items)
        case ast.Subscript(value=value, slice=index):
            return _applied(operator.getitem, evaluate(value, facts, values), evaluate(index, facts, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not evaluate(operand, facts, values)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -evaluate(operand, facts, values)
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in OPERATORS:
            return _applied(OPERATORS[type(kind)], evaluate(left, facts, values), evaluate(right, facts, values))
        case ast.Compare(left=left, ops=[kind], comparators=[right]):
            return _applied(OPERATORS[type(kind)], evaluate(left, facts, values), evaluate(right, facts, values))
        case ast.BoolOp(op=kind, values=operands):
            return _evaluate_all(isinstance(kind, ast.And), operands, facts, values)
        case ast.Call():
            return _evaluate_call(node, facts, values)
    raise UnknownValueError


def _evaluate_all(is_and: bool, operands: Sequence[ast.expr], facts: Facts, values: Mapping[str, Any]) -> Any:
    """`and` or `or` of `operands`: known if one of them decides, whatever those before it are."""
    known = True
    value: Any = is_and
    for operand in operands:
        try:
            value = evaluate(operand, facts, values)
        except UnknownValueError:
            known = False
            continue
        if bool(value) != is_and and (known or isinstance(value, bool)):
            return value
    if not known:
        raise UnknownValueError
    return value


def _evaluate_call(call: ast.Call, facts: Facts, values: Mapping[str, Any]) -> Any:
    own = own_attribute(call.func)
    if own is not None and own in facts.calls:
        return facts.calls[own]
    if ast.unparse(call) in FALSE_TEXTS:
        return False
    match call:
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, kind]) if ast.unparse(kind) == PROXY:
            return False
        case ast.Call(func=ast.Name(id=name)) if facts.namespace.get(name) in FALSE_CALLS:
            return False
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in BUILTINS and name not in facts.namespace:
            return _applied(BUILTINS[name], *(evaluate(argument, facts, values) for argument in call.args))
    raise UnknownValueError


def _applied(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception:  # the code then fails when it runs, if it is ever reached
        raise UnknownValueError from None


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
