"""Conditions that are known before code runs: those of options that each layer of a network has, and of faster ways."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas.models.standalone.syntax.trees import own_attribute
from search_space.modules import eager, torch_internals

FALSE_CALLS: tuple[object, ...] = (
    eager.may_rewrite,
    eager.runs_eagerly,
    eager.may_bypass,
    torch_internals.is_transforming,
    torch_internals.has_hooks,
    torch_internals.has_global_hooks,
)
"""Functions that ask whether a faster way may be taken, or whether code is traced: a standalone file computes by definitions."""
SHORT_FASTER_WAYS = frozenset(
    ("search_space.modules.lambda_layer", name) for name in ("forward", "content_lambdas", "by_table", "apply_lambdas")
)
"""Functions whose faster way is as short as the definition, and is what they compute on CPUs: it is taken."""
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
        takes_faster_way: whether it is one of `SHORT_FASTER_WAYS`.
        cases: of each module that runs the code, names of arguments and `self.NAME` of attributes -> their values.
        calls: methods of `self` -> what they return in any case.
        identities: attributes of `self` that return their argument when they are called, those of its parts as `part.name`.
    """

    namespace: Mapping[str, Any]
    cases: tuple[Mapping[str, Any], ...] = ({},)
    calls: Mapping[str, Any] = field(default_factory=dict)
    identities: frozenset[str] = frozenset()
    takes_faster_way: bool = False


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
            return facts.takes_faster_way and facts.namespace.get(name) is eager.may_rewrite
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in BUILTINS and name not in facts.namespace:
            return _applied(BUILTINS[name], *(evaluate(argument, facts, values) for argument in call.args))
    raise UnknownValueError


def _applied(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception:  # the code then fails when it runs, if it is ever reached
        raise UnknownValueError from None
