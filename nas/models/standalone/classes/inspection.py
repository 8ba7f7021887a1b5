"""What a network is made of: its modules by class, how each was constructed, and what all those of a class have in common."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from nas.models.standalone.classes.recording import Construction
from nas.models.standalone.syntax.expressions import Argument, Call, Constant, Expression, Group, constant, repeated
from nas.models.standalone.syntax.known_values import UnknownValueError
from nas.models.standalone.syntax.source_files import SourceFile, UnfollowedSourceError, source_file
from nas.models.standalone.syntax.trees import own_attribute
from search_space.modules.layers import DropPath

CHANGED_FROM_OUTSIDE: Mapping[type, frozenset[str]] = {DropPath: frozenset({"rate"})}
"""Attributes that others set after construction, here the rates of stochastic depth."""
CONTAINERS = (nn.Sequential, nn.ModuleList)


def is_of_torch(kind: type) -> bool:
    """True for classes of torch, and for `object`."""
    return kind.__module__.partition(".")[0] in ("torch", "builtins")


def own_classes(kind: type) -> list[type]:
    """The classes of `kind` that are not torch's, in the order in which methods are looked up."""
    return [base for base in kind.__mro__ if not is_of_torch(base)]


def torch_base(kind: type) -> type:
    """The class of torch that `kind` derives from."""
    return next(base for base in kind.__mro__ if is_of_torch(base))


@dataclass(frozen=True)
class Method:
    """A method of a class, as it is written.

    Args:
        owner: the class that defines it.
        tree: its definition.
        source: the file.
    """

    owner: type
    tree: ast.FunctionDef
    source: SourceFile


class Inspection:
    """The modules below some roots.

    Args:
        roots: modules of the network.
        constructions: by the `id` of a module, see `recording.py`.
    """

    def __init__(self, roots: Iterable[nn.Module], constructions: Mapping[int, Construction]) -> None:
        self._constructions = constructions
        self._read_outside: dict[type, set[str]] | None = None
        modules = {id(module): module for root in roots for module in root.modules()}
        self.modules = tuple(modules.values())
        self.kinds = tuple(dict.fromkeys(type(module) for module in self.modules if not is_of_torch(type(module))))
        kept = [module for module in self.modules if not is_of_torch(type(module)) and self._keeps_init(module)]
        inner = {type(child) for module in kept for child in module.modules() if child is not module}
        self.built_inside = frozenset(kind for kind in inner if not is_of_torch(kind))
        self.kept = self.built_inside | {type(module) for module in kept}

    def class_tree(self, kind: type) -> tuple[ast.ClassDef, SourceFile]:
        """The definition of a class.

        Raises:
            UnfollowedSourceError: it is not at the top level of a file.
        """
        try:
            source = source_file(kind.__module__)
        except UnfollowedSourceError as error:
            raise UnfollowedSourceError(f"{kind.__name__}: {error}") from None
        tree = source.definitions.get(kind.__name__)
        if kind.__qualname__ != kind.__name__ or not isinstance(tree, ast.ClassDef):
            raise UnfollowedSourceError(f"{kind.__qualname__} is not defined at the top level of {kind.__module__}")
        return tree, source

    def methods(self, kind: type) -> dict[str, Method]:
        """The methods of `kind` and of its bases that are not torch's, by name."""
        methods: dict[str, Method] = {}
        for owner in own_classes(kind):
            for method in self.methods_of(owner):
                methods.setdefault(method.tree.name, method)
        return methods

    def methods_of(self, owner: type) -> list[Method]:
        """The methods that the class `owner` itself defines."""
        tree, source = self.class_tree(owner)
        return [Method(owner, item, source) for item in tree.body if isinstance(item, ast.FunctionDef)]

    def keeps_init(self, kind: type) -> bool:
        """Whether the constructor of `kind` stays as it is written."""
        return any(issubclass(kept, kind) for kept in self.kept)

    def instances(self, kind: type) -> list[nn.Module]:
        """The modules that run the code of `kind`; those of derived classes too where it keeps its constructor."""
        if self.keeps_init(kind):
            return [module for module in self.modules if isinstance(module, kind)]
        return [module for module in self.modules if type(module) is kind]

    def known_attributes(self, kind: type) -> tuple[dict[str, Any], ...]:
        """The plain attributes of each module of `kind` that stay as they are, as `self.NAME`; and whether it has a parameter."""
        variable = {name for method in self.methods(kind).values() for name in _assigned(method)}
        variable |= {name for base in own_classes(kind) for name in CHANGED_FROM_OUTSIDE.get(base, ())}
        cases = []
        for module in self.instances(kind):
            known = plain_attributes(module) | _parameters(module)
            cases.append({f"self.{name}": value for name, value in known.items() if name not in variable})
        return tuple(cases)

    def identities(self, kind: type) -> frozenset[str]:
        """The submodules that return their argument in all modules of `kind`."""
        instances = self.instances(kind)
        names = [name for name, child in instances[0].named_children() if _is_identity(child)]
        return frozenset(name for name in names if all(_is_identity(getattr(other, name)) for other in instances))

    def names_read_outside(self, kind: type) -> frozenset[str]:
        """The attributes of modules of `kind` that modules of other classes read."""
        if self._read_outside is None:
            self._read_outside = {}
            for reader in self.kinds:
                for method in self.methods(reader).values():
                    for part, name in _read_of_parts(method.tree):
                        for module in self.instances(reader):
                            self._read_outside.setdefault(type(getattr(module, part, None)), set()).add(name)
        return frozenset(self._read_outside.get(kind, ()))

    def arguments(self, module: nn.Module) -> Mapping[str, Any]:
        """The arguments with which `module` was constructed.

        Raises:
            UnfollowedSourceError: they cannot be written as code.
        """
        construction = self._constructions.get(id(module))
        if construction is None or construction.variadic:
            raise UnfollowedSourceError(f"the arguments of {type(module).__name__} cannot be written as code")
        return construction.arguments

    def has_plain_arguments(self, module: nn.Module) -> bool:
        """True if the arguments with which `module` was constructed can be written as code."""
        construction = self._constructions.get(id(module))
        if construction is None or construction.variadic:
            return False
        return all(constant(value) is not None for value in construction.arguments.values())

    def call(self, module: nn.Module, function: str | type, left_out: Iterable[str] = ()) -> Call:
        """The expression that constructs `module` by the arguments with which it was constructed, but for those `left_out`."""
        arguments, skipped = self.arguments(module), set(left_out)
        parameters = inspect.signature(type(module).__init__).parameters
        written = []
        for name, value in arguments.items():
            expression, parameter = constant(value), parameters[name]
            if expression is None:
                kind = type(module).__name__
                raise UnfollowedSourceError(
                    f"{kind}: its argument {name} is a {type(value).__name__}, which is no code"
                )
            if name not in skipped:
                has_default = parameter.default is not parameter.empty
                default = constant(parameter.default) if has_default else None
                is_positional = not has_default and parameter.kind != parameter.KEYWORD_ONLY
                written.append(Argument(name, expression, default, is_positional))
        return Call(function, tuple(written))

    def _keeps_init(self, module: nn.Module) -> bool:
        """Whether the constructor of the class stays as it is written: where it makes parameters or initialises them."""
        kind = type(module)
        is_layer = torch_base(kind) is not nn.Module
        if not self.has_plain_arguments(module):
            if is_layer:
                self.call(module, kind)  # raises an error that says why
            return False
        has_state = bool(module._parameters or module._buffers)
        return is_layer or has_state or any(_initialises(method) for method in self.methods(kind).values())


def plain_attributes(module: nn.Module) -> dict[str, Any]:
    """The attributes of `module` that are plain values."""
    attributes = {
        name: value for name, value in vars(module).items() if not name.startswith("_") and name != "training"
    }
    return {name: value for name, value in attributes.items() if constant(value) is not None}


def container(module: nn.Module, children: Sequence[Expression]) -> Call | None:
    """The expression of a `nn.Sequential` or `nn.ModuleList` of these children; None for another module."""
    if type(module) not in CONTAINERS:
        return None
    names = [name for name, _ in module.named_children()]
    function = f"nn.{type(module).__name__}"
    if names == [str(index) for index in range(len(names))]:
        items: list[Expression] = (
            [*repeated(children)] if isinstance(module, nn.Sequential) else [Group(tuple(children))]
        )
        return Call(function, tuple(Argument("", item) for item in items))
    arguments = tuple(Argument(name, child, None, False) for name, child in zip(names, children, strict=True))
    return Call(function, (Argument("", Call("OrderedDict", arguments)),))


def type_name(values: Iterable[Expression]) -> str:
    """The annotation of a parameter with these values."""
    kinds = dict.fromkeys(_type_name(value) for value in values)
    return " | ".join(kinds)


def _type_name(value: Expression) -> str:
    match value:
        case Constant(kind=kind):
            return "None" if kind == "NoneType" else kind
        case Group(items=items):
            return f"tuple[{', '.join(map(_type_name, items))}]"
    return "nn.Module"


def _is_identity(module: nn.Module) -> bool:
    return type(module) is nn.Identity or (type(module) is nn.Sequential and not len(module))


class Present:
    """In the place of a parameter: it is not None, and nothing else is known of it."""

    def __bool__(self) -> bool:
        raise UnknownValueError


PRESENT = Present()


def _parameters(module: nn.Module) -> dict[str, Any]:
    """Name of a parameter -> None where the module has none, else `PRESENT`."""
    return {name: None if parameter is None else PRESENT for name, parameter in module._parameters.items()}


def _assigned(method: Method) -> Iterator[str]:
    """The attributes of `self` that a method other than the constructor assigns."""
    if method.tree.name == "__init__":
        return
    for node in ast.walk(method.tree):
        name = own_attribute(node)
        if name is not None and isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield name


def _read_of_parts(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The pairs (part, name) of all `self.part.name` that are read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            part = own_attribute(node.value)
            if part is not None:
                yield part, node.attr


def _initialises(method: Method) -> bool:
    """True if the code of `method` initialises parameters."""
    return any("nn.init." in ast.unparse(node) for node in ast.walk(method.tree) if isinstance(node, ast.Call))
