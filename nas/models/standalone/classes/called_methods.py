"""The methods of a class that a network calls, without what it never does in them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nas.models.standalone.classes.inlining import inlined
from nas.models.standalone.classes.inspection import Inspection, Method, torch_base
from nas.models.standalone.syntax.folding import fold
from nas.models.standalone.syntax.known_values import Facts
from nas.models.standalone.syntax.trees import copied, read_attributes, without_docstring

Methods = dict[str, Method]


def called_methods(
    inspection: Inspection, kind: type, identities_of_parts: frozenset[str], arguments: Sequence[Mapping[str, Any]] = ()
) -> tuple[Methods, frozenset[str]]:
    """The methods of `kind` that are called, folded: `forward`, what it calls, and what replaces a method of torch's.

    And the names of the methods that return their argument.

    Args:
        inspection: the network.
        kind: the class.
        identities_of_parts: methods of its submodules that return their argument, as `part.method`.
        arguments: those of its constructor, for each module, where they are known; none: any.
    """
    methods = inspection.methods(kind)
    identities = inspection.identities(kind) | identities_of_parts
    facts = Facts({}, inspection.known_attributes(kind), identities=identities)
    while True:  # a method that always returns the same may decide a condition in another
        folded: Methods = {}
        for name, method in methods.items():
            own = replace(facts, cases=tuple(arguments) or ({},)) if name == "__init__" else facts
            folded[name] = inlined(_fold(method, own), inspection, facts)
        learned = _with_constant_methods(facts, folded)
        if learned == facts:
            break
        facts = learned
    returning = {name for name in facts.identities - identities if not hasattr(torch_base(kind), name)}
    called = _reachable(folded, torch_base(kind), inspection.names_read_outside(kind)) - returning
    return {name: method for name, method in folded.items() if name in called}, frozenset(returning)


def _fold(method: Method, facts: Facts) -> Method:
    tree = copied(method.tree)
    return replace(method, tree=fold(tree, replace(facts, namespace=method.source.namespace)))


def _with_constant_methods(facts: Facts, methods: Methods) -> Facts:
    """`facts`, and what is known of methods that always return the same, or their argument."""
    calls, identities = dict(facts.calls), set(facts.identities)
    for name, method in methods.items():
        match without_docstring(method.tree.body), method.tree.args.args:
            case [ast.Return(value=ast.Constant(value=value))], _ if value is not None:
                calls[name] = value
            case [ast.Return(value=ast.Name(id=returned))], [_, ast.arg(arg=given)] if returned == given:
                identities.add(name)
    return replace(facts, calls=calls, identities=frozenset(identities))


def _reachable(methods: Methods, base: type, read_outside: frozenset[str]) -> set[str]:
    """The methods that run: those that replace one of torch's or that others call, and those that they call."""
    waiting = [name for name in methods if hasattr(base, name) or name == "__init__" or name in read_outside]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in methods and name not in reached:
            reached.add(name)
            waiting += read_attributes(methods[name].tree)
    return reached
