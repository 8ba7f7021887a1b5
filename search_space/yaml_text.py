"""YAML with the core schema of YAML 1.2: `1e-3` is a number, `no` and `12:30` are strings.

PyYAML follows YAML 1.1, which reads `1e-3` as a string, `no` as False and `12:30` as 750.

A text may come from anybody. No tag creates an object of Python, and a text beyond the limits below is an error with its line and
column before its value is built: PyYAML reads about 100 kB a second, recurses once for each level, and an alias to a node that
has aliases itself stands for more nodes than any memory holds ("billion laughs").
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

import yaml

MAX_FILE_BYTES = 1_000_000
MAX_DEPTH = 50
"""Levels of lists and mappings in one another; a study has about ten."""
MAX_NODES = 50_000
"""Scalars, lists and mappings, each as often as aliases repeat it; takes about three seconds."""
MAX_INT_CHARS = 400
"""Of a whole number; no key takes one that no floating-point number can hold, and Python prints no more than 4,300 digits."""

_TAG = "tag:yaml.org,2002:"


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2; duplicate keys are errors, and so is what exceeds the limits."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = 0
        self._count = 0
        self._counts: dict[int, int] = {}
        """Id of a node that is complete -> the number of its nodes."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose the next node, within the limits."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark, before = event.start_mark, self._count
        is_alias = isinstance(event, yaml.AliasEvent)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _limit(f"at most {MAX_DEPTH} lists and mappings may be in one another", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if is_alias and id(node) not in self._counts:
            raise _limit(f"the alias {event.anchor!r} is in its own value", mark)
        self._count += self._counts[id(node)] if is_alias else 1
        if self._count > MAX_NODES:
            raise _limit(f"at most {MAX_NODES:,} values are allowed, those of aliases counted each time", mark)
        self._counts[id(node)] = self._count - before
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping; keys must be unique."""
        seen: set[str] = set()
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != f"{_TAG}merge":
                    if key.value in seen:
                        problem = f"duplicate key {key.value!r}"
                        raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                    seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of `node`; a value that is none of its tag, as in `!!int abc`, is an error with its place."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
            kind = node.tag.removeprefix(_TAG)
            raise yaml.constructor.ConstructorError(None, None, f"is no {kind} ({error})", node.start_mark) from None


def _limit(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, problem, mark)


_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")
"""The tags of the core schema; the others of PyYAML, such as sets, whose order is random, have no use here."""
Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in _KINDS
}
Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
):
    Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _int(loader: Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    if len(text) <= MAX_INT_CHARS:
        number = int(text, 0) if re.match(r"0[ox]", text) else int(text)
        if abs(number) <= sys.float_info.max:
            return number
    problem = f"a whole number must be one that fits a floating-point number, found one of {len(text)} characters"
    raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


Loader.add_constructor(f"{_TAG}int", _int)


def load(text: str) -> Any:
    """The value of one YAML document; raises `yaml.YAMLError` if it is invalid or exceeds the limits."""
    return yaml.load(text, Loader=Loader)


def describe_error(error: yaml.YAMLError) -> str:
    """What is wrong with a text, in one line with its place: `not YAML: duplicate key 'width' (line 2, column 44)`."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"not YAML: {' '.join(str(error).split())}"
    mark = error.problem_mark or error.context_mark
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"not YAML: {error.problem or error.context}{place}"


def construct(node: yaml.Node | None) -> Any:
    """The value of a syntax tree, as `yaml.compose(text, Loader)` returns it; raises `yaml.YAMLError` if it is invalid."""
    return None if node is None else Loader("").construct_document(node)


def read(path: str | Path) -> str:
    """The text of a file of YAML, without a byte order mark.

    Raises:
        OSError: it cannot be read, is larger than `MAX_FILE_BYTES`, or is a device, a pipe or a socket, which may have no end.
        UnicodeDecodeError: it is not UTF-8.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait for its other end
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is a device, a pipe or a socket, and no file", str(path))
        content = stream.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {MAX_FILE_BYTES // 1_000_000} MB", str(path))
    return content.decode("utf-8-sig")
