"""The classes of a network as code: constructors written for this network, and the methods that it calls.

The constructor of a class that makes its own parameters stays as it is written. Any other, which builds its parts from a
description, is replaced by one that constructs the parts of this network (`generalise.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from nas.models.standalone.classes.called_methods import Methods, called_methods
from nas.models.standalone.classes.constructors import prune_constructor, write_defaults
from nas.models.standalone.classes.following import Definitions
from nas.models.standalone.classes.generalise import General, generalise
from nas.models.standalone.classes.inspection import (
    Inspection,
    container,
    is_of_torch,
    own_classes,
    plain_attributes,
    torch_base,
    type_name,
)
from nas.models.standalone.syntax.expressions import Argument, Call, Expression, constant, layout
from nas.models.standalone.syntax.printing import docstring_lines, print_function, print_statement, self_contained
from nas.models.standalone.syntax.source_files import UnfollowedSourceError
from nas.models.standalone.syntax.trees import copied, read_attributes


@dataclass(frozen=True)
class WrittenClass:
    """A class of the network, ready to be written.

    Args:
        methods: those that the network calls, folded.
        identities: methods that return their argument.
        general: what its constructor constructs; None where the constructor is as written.
        calls: `id` of a module -> the expression that constructs it.
    """

    methods: Methods
    identities: frozenset[str]
    general: General | None
    calls: Mapping[int, Call]


class NetworkClasses:
    """The classes of a network.

    Args:
        inspection: the network.
        comments: class -> lines of a comment before it.
    """

    def __init__(self, inspection: Inspection, comments: Mapping[type, Iterable[str]]) -> None:
        self._inspection = inspection
        self._comments = comments
        self._written: dict[type, WrittenClass] = {}
        self._in_progress: list[type] = []

    def expression(self, module: nn.Module) -> Expression:
        """The expression that constructs `module`.

        Raises:
            UnfollowedSourceError: there is none.
        """
        kind = type(module)
        children = container(module, [self.expression(child) for child in module.children()])
        if children is not None:
            return children
        if is_of_torch(kind):
            if getattr(nn, kind.__name__, None) is not kind:
                raise UnfollowedSourceError(f"{kind.__module__}.{kind.__name__} is no layer of torch.nn")
            return Call("nn.Identity") if kind is nn.Identity else self._inspection.call(module, f"nn.{kind.__name__}")
        return self.written(kind).calls[id(module)]

    def written(self, kind: type) -> WrittenClass:
        """The class `kind` as it is written.

        Raises:
            UnfollowedSourceError: it cannot be.
        """
        if kind not in self._written:
            if kind in self._in_progress:
                raise UnfollowedSourceError(f"{kind.__name__} contains modules of its own class")
            self._in_progress.append(kind)
            self._written[kind] = (
                self._as_written(kind) if self._inspection.keeps_init(kind) else self._constructed(kind)
            )
            self._in_progress.pop()
        return self._written[kind]

    def _as_written(self, kind: type) -> WrittenClass:
        """A class whose constructor stays, without options that the network does not have."""
        instances = [module for module in self._inspection.instances(kind) if type(module) is kind]
        is_alone = kind not in self._inspection.built_inside and len(self._inspection.instances(kind)) == len(instances)
        arguments = [self._inspection.arguments(module) for module in instances] if is_alone else []
        called, identities = self._called_methods(kind, arguments)
        methods = {name: method for name, method in called.items() if method.owner is kind}
        if "__init__" in methods:
            write_defaults(methods["__init__"].tree, kind)
        left_out: frozenset[str] = frozenset()
        if is_alone and instances and "__init__" in methods:
            left_out = prune_constructor(methods, self._inspection.names_read_outside(kind))
        calls = {id(module): self._inspection.call(module, kind, left_out) for module in instances}
        return WrittenClass(methods, identities, None, calls)

    def _constructed(self, kind: type) -> WrittenClass:
        """A class with a constructor for the modules of this network."""
        methods, identities = self._called_methods(kind)
        methods.pop("__init__", None)
        read = {name for method in methods.values() for name in read_attributes(method.tree)}
        read |= self._inspection.names_read_outside(kind)
        instances = [module for module in self._inspection.instances(kind) if type(module) is kind]
        known = self._inspection.identities(kind)
        parts = [self._parts(module, read, known) for module in instances]
        if len({tuple(own) for own in parts}) > 1:
            raise UnfollowedSourceError(f"{kind.__name__} has other parts in one layer than in another")
        general = generalise({name: tuple(own[name] for own in parts) for name in parts[0]})
        calls = {}
        for index, module in enumerate(instances):
            values = {name: values[index] for name, values in general.parameters.items()}
            calls[id(module)] = Call(kind, tuple(Argument(name, value) for name, value in values.items()))
        return WrittenClass(methods, identities, general, calls)

    def _parts(self, module: nn.Module, read: set[str], identities: frozenset[str]) -> dict[str, Expression]:
        """What the constructor of `module` assigns to its attributes, in order."""
        parts: dict[str, Expression] = {}
        plain = plain_attributes(module)
        for name in vars(module):
            if name in read and name not in plain and name != "training" and not name.startswith("_"):
                raise UnfollowedSourceError(f"{type(module).__name__}: its attribute {name} is no plain value")
        for name, value in plain.items():
            expression = constant(value)
            if name in read and expression is not None:
                parts[name] = expression
        for name, parameter in module._parameters.items():
            if parameter is not None:
                parts[name] = Call("nn.Parameter", (Argument("", _zeros(parameter.shape)),))
            elif name in read:
                parts[name] = Call("None")
        for name, buffer in module._buffers.items():
            if buffer is not None:
                raise UnfollowedSourceError(
                    f"{type(module).__name__}: its constructor cannot be kept, which makes {name}"
                )
        for name, child in module.named_children():
            if name not in identities:
                parts[name] = self.expression(child)
        return parts

    def _called_methods(
        self, kind: type, arguments: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[Methods, frozenset[str]]:
        """As `called_methods`."""
        return called_methods(self._inspection, kind, self._identities_of_parts(kind), arguments)

    def _identities_of_parts(self, kind: type) -> frozenset[str]:
        """The methods of submodules that return their argument in all modules of `kind`, as `part.method`."""
        instances = self._inspection.instances(kind)
        names = []
        for part, child in instances[0].named_children():
            kinds = {type(getattr(module, part, None)) for module in instances}
            if self._inspection.names_read_outside(type(child)) and not any(map(is_of_torch, kinds)):
                common = frozenset.intersection(*(self.written(other).identities for other in kinds))
                names += [f"{part}.{method}" for method in common]
        return frozenset(names)

    def write(self, kind: type, definitions: Definitions) -> list[str]:
        """The lines of the class `kind`; what it needs is defined in `definitions`.

        Raises:
            UnfollowedSourceError: something of it cannot be written.
        """
        written = self.written(kind)
        tree, source = self._inspection.class_tree(kind)
        bases = self._bases(kind, definitions)
        body: list[list[str]] = []
        members = self._class_members(kind, written)
        for member in members:
            definitions.use(member, source)
        statements = [line for member in members for line in print_statement(member, source, 1)]
        if statements:
            body.append(statements)
        if written.general is not None:
            body.append(self._constructor(written.general, definitions))
        for method in written.methods.values():
            definitions.use(method.tree, method.source)
            body.append(print_function(method.tree, method.source, 1))
        docstring = ast.get_docstring(tree)
        lines = [f"# {line}".rstrip() for line in self._comments.get(kind, ())]
        lines.append(f"class {definitions.name_of(kind)}({', '.join(bases)}):")
        if docstring is not None:
            body.insert(0, docstring_lines(self_contained(docstring), 1))
        if not any(body):
            body = [["    pass"]]
        return [
            *lines,
            *(line for index, part in enumerate(filter(None, body)) for line in ([""] * (index > 0) + part)),
        ]

    def _bases(self, kind: type, definitions: Definitions) -> list[str]:
        """The bases of `kind` in the file: classes that have nothing left are replaced by their own bases."""
        if self.written(kind).general is not None:
            return [_torch_name(torch_base(kind))]
        bases: list[str] = []
        for base in kind.__bases__:
            if is_of_torch(base):
                names = [_torch_name(base)]
            elif self.written(base).methods or self._class_members(base, self.written(base)):
                names = [definitions.name_of(base)]
            else:
                names = self._bases(base, definitions)
            bases += [name for name in names if name not in bases]
        return bases

    def _class_members(self, kind: type, written: WrittenClass) -> list[ast.stmt]:
        """The assignments and annotations of the class that its methods need."""
        read = {name for method in written.methods.values() for name in read_attributes(method.tree)}
        owners = [kind] if written.general is None else own_classes(kind)
        members: list[ast.stmt] = []
        for owner in owners:
            tree, _ = self._inspection.class_tree(owner)
            for item in tree.body:
                match item:
                    case ast.Assign(targets=[ast.Name(id=name)]) if name in read:
                        members.append(copied(item))
                    case ast.AnnAssign(target=ast.Name(id=name), value=value) if name in read:
                        if value is not None or ast.unparse(item.annotation) == "torch.Tensor":
                            members.append(copied(item))
        return members

    def _constructor(self, general: General, definitions: Definitions) -> list[str]:
        if not general.parts:
            return []
        parameters = [f"{name}: {type_name(values)}" for name, values in general.parameters.items()]
        lines = [f"    def __init__({', '.join(['self', *parameters])}) -> None:"]
        if len(lines[0]) > 120:
            inner = ", ".join(["self", *parameters])
            lines = ["    def __init__(", f"        {inner}", "    ) -> None:"]
            if len(lines[1]) > 120:
                lines[1:2] = [f"        {parameter}," for parameter in ["self", *parameters]]
        lines.append("        super().__init__()")
        for name, expression in general.parts.items():
            lines += layout(expression, definitions.name_of, 2, f"self.{name} = ")
        return lines


def _torch_name(kind: type) -> str:
    return f"nn.{kind.__name__}" if getattr(nn, kind.__name__, None) is kind else f"{kind.__module__}.{kind.__name__}"


def _zeros(shape: Iterable[int]) -> Call:
    sizes = tuple(size for size in map(constant, shape) if size is not None)
    return Call("torch.zeros", tuple(Argument("", size) for size in sizes))
