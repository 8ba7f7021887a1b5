"""`super().forward(x)` of a class whose base class is not part of the file: its expression in place of the call."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace

from nas.models.standalone.classes.inspection import Inspection, Method, is_of_torch
from nas.models.standalone.syntax.folding import fold
from nas.models.standalone.syntax.known_values import Facts
from nas.models.standalone.syntax.source_files import UnfollowedSourceError
from nas.models.standalone.syntax.trees import copied, without_docstring


def inlined(method: Method, inspection: Inspection, facts: Facts) -> Method:
    """`method` with the body of the methods that it calls by `super()`, where they are not torch's.

    Classes whose constructor is kept have their base classes in the file, and need none of this.

    Raises:
        UnfollowedSourceError: such a method is more than a chain of expressions.
    """
    if method.owner in inspection.kept or method.tree.name == "__init__":
        return method
    return replace(method, tree=_Inliner(method, inspection, facts).visit(method.tree))


class _Inliner(ast.NodeTransformer):
    def __init__(self, method: Method, inspection: Inspection, facts: Facts) -> None:
        self.method, self.inspection, self.facts = method, inspection, facts

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="super"), args=[]), attr=name), keywords=[]
            ):
                base = self._base_method(name)
                return node if base is None else self._body(base, node.args)
        return node

    def _base_method(self, name: str) -> Method | None:
        """The method of the base classes that is called; None if it is torch's."""
        for owner in self.method.owner.__mro__[1:]:
            if is_of_torch(owner):
                return None
            for method in self.inspection.methods_of(owner):
                if method.tree.name == name:
                    return method
        return None

    def _body(self, base: Method, arguments: list[ast.expr]) -> ast.expr:
        tree = copied(base.tree)
        tree = fold(tree, replace(self.facts, namespace=base.source.namespace))
        tree = inlined(replace(base, tree=tree), self.inspection, self.facts).tree
        parameters = [argument.arg for argument in tree.args.args[1:]]
        values = dict(zip(parameters, arguments, strict=False))
        *steps, last = without_docstring(tree.body)
        for step in steps:
            match step:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values[name] = self._filled(value, values)
                case _:
                    raise self._error(base)
        if not isinstance(last, ast.Return) or last.value is None or len(arguments) != len(parameters):
            raise self._error(base)
        return self._filled(last.value, values)

    def _filled(self, expression: ast.expr, values: Mapping[str, ast.expr]) -> ast.expr:
        names = [node.id for node in ast.walk(expression) if isinstance(node, ast.Name)]
        for name, value in values.items():
            if names.count(name) > 1 and not isinstance(value, ast.Name):
                raise UnfollowedSourceError(
                    f"{self.method.owner.__name__}: a method of its base class is too long to inline"
                )
        return _Filler(values).visit(copied(expression))

    def _error(self, base: Method) -> UnfollowedSourceError:
        name = f"{base.owner.__name__}.{base.tree.name}"
        return UnfollowedSourceError(
            f"{self.method.owner.__name__}: the method {name} of its base class is too long to inline"
        )


class _Filler(ast.NodeTransformer):
    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return copied(self.values[node.id]) if node.id in self.values else node
