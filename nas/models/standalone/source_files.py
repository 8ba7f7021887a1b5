"""Python files as syntax trees: what a name of theirs refers to, their comments and lines."""

from __future__ import annotations

import ast
import importlib.util
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import UsageError


class UnfollowedSourceError(UsageError):
    """Source of a network that cannot become part of a standalone file."""


@dataclass(frozen=True)
class ImportedName:
    """What an import binds a name to: a module, or (with `attribute`) something in it."""

    module: str
    attribute: str | None = None


class SourceFile:
    """The source of a module.

    Args:
        module: its name in `sys.modules`.

    Attributes:
        definitions: name -> its definition at the top level: a function, a class or an assignment.
        imports: name -> what an import at the top level binds it to.

    Raises:
        UnfollowedSourceError: the module has no file of Python source.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self.namespace: dict[str, Any] = vars(sys.modules[module]) if module in sys.modules else {}
        self.text = _read(module, self.namespace)
        self.lines = self.text.splitlines()
        self.tree = ast.parse(self.text)
        self.definitions: dict[str, ast.stmt] = {}
        self.imports: dict[str, ImportedName] = {}
        for statement in _top_level(self.tree):
            self._add(statement)
        self._dumps = {
            _key(node): ast.dump(node)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.stmt | ast.expr) and not hasattr(node, "body")
        }
        self.comments = _comments(self.text)

    def __deepcopy__(self, memo: object) -> SourceFile:
        return self

    def is_unchanged(self, node: ast.stmt | ast.expr) -> bool:
        """True if `node`, a simple statement or an expression, is as it is in the file."""
        return self._dumps.get(_key(node)) == ast.dump(node)

    def _add(self, statement: ast.stmt) -> None:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                self.definitions[name] = statement
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                self.definitions[name] = statement
            case ast.Import(names=names):
                for alias in names:
                    name = alias.asname or alias.name.partition(".")[0]
                    self.imports[name] = ImportedName(alias.name if alias.asname else name)
            case ast.ImportFrom(module=module, names=names, level=level):
                package = self.namespace.get("__package__") or ""
                origin = importlib.util.resolve_name("." * level + (module or ""), package) if level else module or ""
                for alias in names:
                    self.imports[alias.asname or alias.name] = ImportedName(origin, alias.name)


def _key(node: ast.stmt | ast.expr) -> tuple[object, ...]:
    """The kind of `node`, and where it begins and ends; of new nodes, the kind."""
    place = ("lineno", "col_offset", "end_lineno", "end_col_offset")
    return (type(node), *(getattr(node, name, None) for name in place))


def _read(module: str, namespace: dict[str, Any]) -> str:
    path = namespace.get("__file__")
    if not isinstance(path, str) or not path.endswith(".py"):
        raise UnfollowedSourceError(f"module {module} has no file of Python source")
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError) as error:
        raise UnfollowedSourceError(f"module {module}: its source {Path(path).name} cannot be read: {error}") from None


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module, those of `if TYPE_CHECKING:` too."""
    for statement in tree.body:
        if isinstance(statement, ast.If):
            yield from statement.body
        else:
            yield statement


def _comments(text: str) -> dict[int, str]:
    """Line -> the comment that is all that it has."""
    comments = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            comments[token.start[0]] = token.string
    return comments
