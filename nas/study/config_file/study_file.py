"""A YAML file with overrides, and the line and column of each value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from nas.errors import ConfigError
from nas.study.attribute_types import is_number_text
from nas.study.config_file.text_keys import keep_texts, parse_override
from nas.study.database.storage_url import without_password
from nas.study.url_store import without_credentials
from search_space import yaml_text

KeyPath = tuple[str | int, ...]

COLON_PROBLEM = "mapping values are not allowed here"
"""PyYAML's words for `path: My: pictures`."""


@dataclass(frozen=True)
class StudyFile:
    """The source of a configuration.

    Args:
        file: the YAML file.
        data: the content of the file, with overrides applied.
        node: the syntax tree of the file, with lines and columns; None if the file is empty.
        overrides: path -> the command-line argument that set it.
    """

    file: Path
    data: Any
    node: yaml.Node | None
    overrides: dict[KeyPath, str]

    def where(self, path: Sequence[str | int]) -> str:
        """`FILE:LINE:COL` of the deepest part of `path` that the file contains, or the override that set it."""
        for length in range(len(path), 0, -1):
            if tuple(path[:length]) in self.overrides:
                return self.overrides[tuple(path[:length])]
        below = [word for key, word in self.overrides.items() if path and key[: len(path)] == tuple(path)]
        if below:  # a mapping that breaks a rule since an override changed one of its keys
            return below[-1]
        if self.node is None:
            return f"{self.file}:1:1"
        mark = self.node.start_mark
        node: yaml.Node | None = self.node
        for part in path:
            step = _step(node, part)
            if step is None:
                break
            key, node = step
            mark = key.start_mark
        return f"{self.file}:{mark.line + 1}:{mark.column + 1}"


def _step(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """The node that marks the place of `part` in `node`, and the node of its value."""
    if isinstance(node, yaml.MappingNode):
        merged: tuple[yaml.Node, yaml.Node] | None = None
        for key, value in node.value:
            if key.value == str(part):
                return key, value
            if key.tag == "tag:yaml.org,2002:merge":
                merged = merged or _step(value, part)
        return merged
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def read(file: Path, overrides: Sequence[str], model: type[BaseModel], kind: str = "study") -> StudyFile:
    """Read `file` and apply `overrides`, words of the form `key.sub=value`.

    Args:
        file: the YAML file.
        overrides: the words.
        model: the type of the configuration, which says which keys hold text (`nas.study.config_file.text_keys`).
        kind: what the file is, in words.

    Raises:
        ConfigError: the file cannot be read or is not YAML; an override has another form, or its path does not exist.
    """
    try:
        text = yaml_text.read(file)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise ConfigError(str(file), f"a {kind} is a YAML file: {reason}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            str(file), f"a {kind} is a YAML file in UTF-8: {error.reason} at byte {error.start}"
        ) from None
    try:
        node = yaml.compose(text, Loader=yaml_text.Loader)
        keep_texts(node, model)
        data = yaml_text.construct(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        problem = error.problem or error.context
        hint = "; a text that contains ': ' needs quotes" if problem == COLON_PROBLEM else ""
        raise ConfigError(where, f"not YAML: {problem}{hint}") from None
    except yaml.YAMLError as error:
        raise ConfigError(str(file), f"not YAML: {' '.join(str(error).split())}") from None
    applied: dict[KeyPath, str] = {}
    for word in overrides:
        path, value = _parse(word, model)
        data = _set({} if data is None else data, path, value, word)
        applied[path] = without_password(without_credentials(word))
    return StudyFile(file, data, node, applied)


def _parse(word: str, model: type[BaseModel]) -> tuple[KeyPath, Any]:
    key, equals, text = word.partition("=")
    if not equals or not key or not all(key.split(".")):
        raise ConfigError(word, "an override must be of the form key.sub=value")
    key = re.sub(r"\[([0-9]+)\]", r".\1", key)  # `stages[0]`, as errors write it, is `stages.0`
    path = tuple(int(part) if is_number_text(part) else part for part in key.split("."))
    if len(path) > yaml_text.MAX_DEPTH:
        raise ConfigError(
            word, f"the key of an override must have at most {yaml_text.MAX_DEPTH} parts, found {len(path)}"
        )
    try:
        return path, parse_override(model, path, text)
    except yaml.YAMLError as error:
        raise ConfigError(word, f"the value is not YAML: {getattr(error, 'problem', error)}") from None


def _set(data: Any, path: KeyPath, value: Any, word: str) -> Any:
    """A copy of `data` with `value` at `path`."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(data, list):
        if not isinstance(first, int) or first >= len(data):
            raise ConfigError(word, f"{first!r} must be an index below {len(data)}")
        return [_set(item, rest, value, word) if index == first else item for index, item in enumerate(data)]
    if data is None or isinstance(data, dict):
        inner = (data or {}).get(first)
        return {**(data or {}), first: _set({} if rest and inner is None else inner, rest, value, word)}
    raise ConfigError(word, f"{first!r} cannot be set inside the single value {data!r}")
