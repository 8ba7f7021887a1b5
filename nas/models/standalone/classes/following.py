"""Definitions that code refers to, followed from file to file: what a standalone file has to contain besides the code itself."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from nas.models.standalone.classes.inspection import Inspection
from nas.models.standalone.syntax.folding import fold
from nas.models.standalone.syntax.global_names import change_annotations, global_names
from nas.models.standalone.syntax.known_values import Facts
from nas.models.standalone.syntax.printing import print_function, print_statement
from nas.models.standalone.syntax.source_files import SourceFile, UnfollowedSourceError, source_file
from nas.models.standalone.syntax.trees import copied

DROPPED_DECORATORS = ("torch.fx.wrap", "builds(")
PROXY = "torch.fx.Proxy"


class Definitions:
    """The definitions of a standalone file, each after those that it needs.

    Args:
        inspection: the network, with the files of its classes.
        packages: the names of the packages whose code becomes part of the file.
        reserved: names that the file has for itself.
        imported: those that it imports -> what they are.
        write_class: gives the lines of a class of the network.

    Attributes:
        texts: the code of each definition.
        imports: name -> the statement that imports it.
    """

    def __init__(
        self,
        inspection: Inspection,
        packages: Iterable[str],
        reserved: Iterable[str],
        imported: Mapping[str, Any],
        write_class: Callable[[type], list[str]],
    ) -> None:
        self._inspection = inspection
        self._packages = frozenset(packages)
        self._write_class = write_class
        self._names: dict[tuple[str, str], str] = {}
        self._taken = {*reserved, *imported}
        self._objects = dict(imported)
        self.texts: list[str] = []
        self.imports: dict[str, str] = {}

    def name_of(self, kind: type) -> str:
        """The name of a class in the file; defines it.

        Raises:
            UnfollowedSourceError: its source cannot be followed.
        """
        return self._define(kind.__module__, kind.__name__)

    def use(self, node: ast.AST, source: SourceFile) -> None:
        """Define what `node`, code of `source`, refers to, and rename it in `node` as it is called in the file.

        Raises:
            UnfollowedSourceError: something cannot be followed.
        """
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = [item for item in node.decorator_list if not _is_dropped(item)]
        for child in ast.walk(node):
            if isinstance(child, ast.FunctionDef) and child.returns is not None and PROXY in ast.unparse(child.args):
                child.returns = ast.parse("torch.Tensor", mode="eval").body  # of a traced graph, it would be a proxy
            if isinstance(child, ast.Import | ast.ImportFrom):
                raise UnfollowedSourceError(f"{source.module}: imports inside of functions cannot be followed")
        change_annotations(node, lambda annotation: self._annotation(annotation, source))
        for name in list(global_names(node)):
            if not self._is_followed_module(name.id, source):
                name.id = self._reference(name.id, source)
        _Attributes(self, source).visit(node)

    def attribute_of_module(self, source: SourceFile, name: str, attribute: str) -> str | None:
        """The name in the file of `name.attribute`, where `name` is a module that is followed; None where it is not."""
        if not self._is_followed_module(name, source):
            return None
        return self._reference(attribute, source_file(source.namespace[name].__name__))

    def _is_followed_module(self, name: str, source: SourceFile) -> bool:
        value = source.namespace.get(name)
        return name in source.imports and isinstance(value, ModuleType) and self._is_followed(value.__name__)

    def _reference(self, name: str, source: SourceFile) -> str:
        """What `name` in `source` is called in the file; follows it there."""
        if name in source.definitions:
            return self._define(source.module, name)
        origin = source.imports.get(name)
        if origin is None:
            if hasattr(builtins, name):
                return name
            raise UnfollowedSourceError(f"{name} in {source.module} is not defined at the top level of the file")
        if origin.attribute is not None and self._is_followed(origin.module):
            return self._reference(origin.attribute, source_file(origin.module))
        root = origin.module.partition(".")[0]
        if root != "torch" and root not in sys.stdlib_module_names:
            used = origin.module if origin.attribute is None else f"{origin.module}.{origin.attribute}"
            raise UnfollowedSourceError(f"{source.module} uses {used}, which a file without other packages cannot have")
        value = source.namespace.get(name)
        if name in self._taken and self._objects.get(name) is not value:
            raise UnfollowedSourceError(
                f"{source.module} calls something {name}, which has another meaning in the file"
            )
        self._taken.add(name)
        self._objects[name] = value
        self.imports[name] = _import(name, origin.module, origin.attribute)
        return name

    def _is_followed(self, module: str) -> bool:
        return module.partition(".")[0] in self._packages

    def _define(self, module: str, name: str) -> str:
        """The name in the file of what `module` defines as `name`; adds the definition after those that it needs."""
        key = (module, name)
        if key in self._names:
            return self._names[key]
        if not self._is_followed(module):
            raise UnfollowedSourceError(f"{name} is part of {module}, which a file without other packages cannot have")
        source = source_file(module)
        candidates = [
            name,
            f"{name}_of_{module.rpartition('.')[2]}",
            *(f"{name}_{number}" for number in range(2, 1000)),
        ]
        self._names[key] = next(candidate for candidate in candidates if candidate not in self._taken)
        self._taken.add(self._names[key])
        self.texts.append("\n".join(self._definition(source, name)))
        return self._names[key]

    def _definition(self, source: SourceFile, name: str) -> list[str]:
        value = source.namespace.get(name)
        if isinstance(value, type) and any(issubclass(kind, value) for kind in self._inspection.kinds):
            return self._write_class(value)
        tree = source.definitions.get(name)
        if tree is None:
            raise UnfollowedSourceError(f"{name} is not defined at the top level of {source.module}")
        node = fold(copied(tree), Facts(source.namespace))
        self.use(node, source)
        new_name = self._names[source.module, name]
        if isinstance(node, ast.FunctionDef):
            node.name = new_name
            return print_function(node, source)
        if isinstance(node, ast.ClassDef):
            raise UnfollowedSourceError(f"{name} of {source.module} is a class that no layer of the network has")
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            node = ast.copy_location(ast.Assign([ast.Name(new_name, ast.Store())], node.value), tree)
        if isinstance(node, ast.Assign):
            node.targets = [ast.Name(new_name, ast.Store())]
        return print_statement(node, source)

    def _annotation(self, annotation: ast.expr, source: SourceFile) -> ast.expr | None:
        """`annotation` without what serves tracing; None if it names what the file does not have."""
        match annotation:
            case ast.BinOp(left=left, op=ast.BitOr(), right=right) if ast.unparse(right) == PROXY:
                return self._annotation(left, source)
        for name in list(global_names(annotation)):
            if not self._is_type_of_the_file(name.id, source):
                return None
        self.use(annotation, source)
        return annotation

    def _is_type_of_the_file(self, name: str, source: SourceFile) -> bool:
        """Whether an annotation may use `name`: a type of torch or of Python, a class of the file, or an alias of those."""
        origin = source.imports.get(name)
        if origin is not None and origin.attribute is not None and self._is_followed(origin.module):
            return self._is_type_of_the_file(origin.attribute, source_file(origin.module))
        if (source.module, name) in self._names or (name not in source.definitions and hasattr(builtins, name)):
            return True
        tree = source.definitions.get(name)
        if isinstance(tree, ast.Assign):
            return all(self._is_type_of_the_file(used.id, source) for used in global_names(tree.value))
        return origin is not None and origin.module.partition(".")[0] in {"torch", *sys.stdlib_module_names}


class _Attributes(ast.NodeTransformer):
    """`module.name` -> the name in the file, where the module is one that is followed."""

    def __init__(self, definitions: Definitions, source: SourceFile) -> None:
        self.definitions, self.source = definitions, source

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.value, ast.Name):
            return node
        name = self.definitions.attribute_of_module(self.source, node.value.id, node.attr)
        return node if name is None else ast.Name(name, ast.Load())


def _is_dropped(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).startswith(DROPPED_DECORATORS)


def _import(name: str, module: str, attribute: str | None) -> str:
    if attribute is None:
        return f"import {module}" if name == module else f"import {module} as {name}"
    return f"from {module} import {attribute}" + ("" if name == attribute else f" as {name}")
