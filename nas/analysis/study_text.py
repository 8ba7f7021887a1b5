"""What a study is, in sentences: its data, its search, and the versions and machines of its searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from nas.formatting import count, dimensions, number_text, value_text
from nas.objectives import OBJECTIVES, Objective
from nas.study.environment import environment_text

_MAX_SHOWN_CLASSES = 20
_SPLITS = (("train", "training"), ("val", "validation"), ("test", "test"))
_SETTINGS: tuple[tuple[tuple[str, ...], Callable[[Any], str]], ...] = (
    (("sampler", "name"), "sampler {}".format),
    (("train", "epochs"), lambda epochs: f"{count(epochs, 'epoch')} a trial"),
    (("seed",), "seed {}".format),
)


class Described(Protocol):
    """A study, as `nas.study.info.StudyInfo` and `nas.analysis.results.Results` have it."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""

    @property
    def dataset(self) -> Mapping[str, Any]:
        """The description of the images."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives."""

    @property
    def space_size(self) -> int | None:
        """The number of architectures in the space, if the study says."""

    @property
    def environments(self) -> Sequence[Mapping[str, Any]]:
        """The versions and machines of its searches."""

    @property
    def end_reason(self) -> str:
        """Why the last search ended early, if it did."""


def dataset_line(study: Described) -> str:
    """The data: images, their size, classes, the split."""
    data = study.dataset
    if not data:
        return "The study does not record its data."
    height, width = data.get("image_size") or ("?", "?")
    size = dimensions(height, width, data.get("in_chans", "?"))
    splits = ", ".join(f"{data[key]:,} {word}" for key, word in _SPLITS if isinstance(data.get(key), int))
    names = [str(name) for name in data.get("class_names") or ()]
    listed = ", ".join(names[:_MAX_SHOWN_CLASSES]) + (" …" if len(names) > _MAX_SHOWN_CLASSES else "")
    classes = f"{data.get('num_classes', '?')} classes" + (f" ({listed})" if listed else "")
    split = f"{splits} images" if splits else "split not recorded"
    return f"Data: {data.get('name', '?')}, images of {size}, {classes}; {split}."


def search_line(study: Described) -> str:
    """The search: objectives, limits, size of the space, sampler, epochs and seed, as far as the study records them."""
    parts = ["Objectives: " + ", ".join(f"{o.label} ({o.direction[:3]})" for o in study.objectives)]
    limits = _at(study.config, "limits") or {}
    parts += [_limit_text(name, worst) for name, worst in limits.items()]
    if study.space_size is not None:
        parts.append(f"{study.space_size:,} architectures in the space")
    for path, text_of in _SETTINGS:
        value = _at(study.config, *path)
        parts += [text_of(value)] if value is not None else []
    parts += [f"ended early: {study.end_reason}"] if study.end_reason else []
    return "; ".join(parts) + "."


def environment_lines(study: Described) -> list[str]:
    """The versions and the machine of each search; those that several searches share once, from the first one on."""
    first = {
        environment_text(environment): environment.get("since", "?") for environment in reversed(study.environments)
    }
    texts = dict.fromkeys(environment_text(environment) for environment in study.environments)
    if len(texts) <= 1:
        return [f"Searched with {text}." for text in texts]
    return [f"Searched from {first[text]} on with {text}." for text in texts]


def _limit_text(name: str, worst: float) -> str:
    """A limit in words: "MACs at most 2.00 M"."""
    objective = OBJECTIVES.get(name)
    if objective is None:
        return f"limit {name} {number_text(worst)}"
    bound = "least" if objective.direction == "maximize" else "most"
    return f"{objective.label} at {bound} {value_text(objective, worst, unit=False)}"


def _at(config: Mapping[str, Any], *path: str) -> Any:
    """The value at `path` of the configuration; None if there is none."""
    value: Any = config
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
