"""Which keys of a configuration hold text, so that a text is taken as the user wrote it and not as the YAML that it looks like.

Text keys are the fields of type `str` and `Path`, such as `name` and `data.path`, and the values of lists and mappings of them.
As an override, `data.path=photos #2`, `name=2024` and `name=[raw]` are taken verbatim, with two exceptions:

- `null` and the empty text mean "none" where the key may be left out (`./null` is a folder of that name);
- a value in quotes from end to end is what YAML reads: `name="2024"` is `2024`, as in Hydra.

In a file, and in a list or a mapping of an override, a number at a text key is its text: `name: 007` is `007`, and
`data.classes=[0, 1]` names the folders `0` and `1`.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from nas.study.config_file.space_config import SpaceConfig
from search_space import yaml_text

_NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MERGE_TAG = "tag:yaml.org,2002:merge"


def parse_override(model: type[BaseModel], path: Sequence[str | int], text: str) -> Any:
    """The value that `text` gives to the key at `path`: verbatim for a text key, else YAML with texts as in a file.

    Raises:
        yaml.YAMLError: the key is no text key, and `text` is not YAML.
    """
    alternatives = _alternatives_at(model, path)
    if not _is_text(alternatives):
        node = yaml.compose(text, Loader=yaml_text.Loader)
        _keep_texts(node, alternatives, set())
        return yaml_text.construct(node)
    if type(None) in alternatives and text in ("", "null"):
        return None
    return _unquote(text)


def keep_texts(node: yaml.Node | None, model: type[BaseModel]) -> None:
    """Change the tags of the syntax tree `node` of a file so that numbers at text keys of `model` are read as text."""
    _keep_texts(node, (model,), set())


def _keep_texts(node: yaml.Node | None, alternatives: tuple[Any, ...], seen: set[int]) -> None:
    if id(node) in seen:
        return  # an alias may contain itself
    if isinstance(node, yaml.ScalarNode):
        if _is_text(alternatives) and node.style is None and node.tag in _NUMBER_TAGS:
            node.tag = "tag:yaml.org,2002:str"
        return
    seen = seen | {id(node)}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            is_merge = key.tag == _MERGE_TAG
            _keep_texts(value, alternatives if is_merge else _inner(alternatives, str(key.value)), seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _keep_texts(item, _inner(alternatives, index), seen)


def _alternatives_at(model: type[BaseModel], path: Sequence[str | int]) -> tuple[Any, ...]:
    """The types that the value at `path` may have; empty for an unknown key."""
    alternatives: tuple[Any, ...] = (model,)
    for part in path:
        alternatives = _inner(alternatives, part)
    return alternatives


def _inner(alternatives: tuple[Any, ...], part: str | int) -> tuple[Any, ...]:
    """The types of the item `part` of a value of one of the `alternatives`."""
    inner: list[Any] = []
    for kind in alternatives:
        origin, arguments = get_origin(kind) or kind, get_args(kind)
        if not isinstance(origin, type) or issubclass(origin, SpaceConfig | str):
            continue  # the space has its own syntax
        if issubclass(origin, BaseModel):
            field = origin.model_fields.get(str(part))
            inner += [] if field is None else _flatten(field.annotation)
        elif issubclass(origin, Mapping) and len(arguments) == 2:
            inner += _flatten(arguments[1])
        elif issubclass(origin, Sequence) and arguments and isinstance(part, int):
            inner += _flatten(arguments[0])
    return tuple(inner)


def _flatten(annotation: Any) -> list[Any]:
    """The types that a union, or an annotated type, allows."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _flatten(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [kind for part in get_args(annotation) for kind in _flatten(part)]
    return [annotation]


def _is_text(alternatives: tuple[Any, ...]) -> bool:
    kinds = set(alternatives) - {type(None)}
    return bool(kinds) and kinds <= {str, Path}


def _unquote(text: str) -> str:
    """`text`, or what is in its quotes if it is one quoted text of YAML from end to end."""
    if text[:1] in ("'", '"') and len(text) > 1 and text[0] == text[-1]:
        try:
            node = yaml.compose(text, Loader=yaml_text.Loader)
        except yaml.YAMLError:
            return text
        if isinstance(node, yaml.ScalarNode) and node.style == text[0] and node.end_mark.index == len(text):
            return str(node.value)
    return text
