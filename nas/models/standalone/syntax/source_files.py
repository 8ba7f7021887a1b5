"""Python files as syntax trees: what a name of theirs refers to, their comments and lines."""

from __future__ import annotations

import ast
import importlib.util
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
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


def source_file(module: str) -> SourceFile:
    """The source of `module`, a name in `sys.modules`; parsed once.

    Raises:
        UnfollowedSourceError: the module has no file of Python source.
    """
    path = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(path, str) or not path.endswith(".py"):
        raise UnfollowedSourceError(f"module {module} has no file of Python source")
    try:
        return _parsed(module, Path(path), Path(path).stat().st_mtime_ns)
    except (OSError, SyntaxError) as error:
        raise UnfollowedSourceError(f"module {module}: its source {Path(path).name} cannot be read: {error}") from None


@lru_cache(maxsize=256)
def _parsed(module: str, path: Path, modified_ns: int) -> SourceFile:
    with tokenize.open(path) as file:
        return SourceFile(module, file.read(), vars(sys.modules[module]))


class SourceFile:
    """The source of a module.

    Args:
        module: its name.
        text: its source.
        namespace: its global names.

    Attributes:
        definitions: name -> its definition at the top level: a function, a class or an assignment.
        imports: name -> what an import at the top level binds it to.
    """

    def __init__(self, module: str, text: str, namespace: dict[str, Any]) -> None:
        self.module, self.text, self.namespace = module, text, namespace
        self.lines = self.text.splitlines()
        self.tree = ast.parse(text)
        self.definitions: dict[str, ast.stmt] = {}
        self.imports: dict[str, ImportedName] = {}
        for statement in _top_level(self.tree):
            self._add(statement)
        self._nodes = {
            _key(node): node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.stmt | ast.expr) and not hasattr(node, "body")
        }
        self.comments = _comments(text)

    def __deepcopy__(self, memo: object) -> SourceFile:
        return self

    def is_unchanged(self, node: ast.stmt | ast.expr) -> bool:
        """True if `node`, a simple statement or an expression, is as it is in the file."""
        original = self._nodes.get(_key(node))
        return original is not None and ast.dump(original) == ast.dump(node)

    def segment(self, node: ast.stmt | ast.expr) -> str:
        """The text of the file from the beginning to the end of `node`."""
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        lines = [line.encode() for line in self.lines[first : last + 1]]  # offsets are in bytes
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"\n".join(lines).decode()

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
