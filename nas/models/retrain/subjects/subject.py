"""What is trained in full: a trial, an architecture of a file, a preset, or a model of timm. Words become checked subjects.

    12, best                a complete trial of the study
    file.yaml, file.json    an architecture (`Architecture.to_dict`) for the study's images
    vit_tiny_patch16        a preset, adapted to the study's images (`nas.models.retrain.subjects.adaptation`)

Names of baselines are presets or models of timm; `NAME:pretrained` begins with timm's weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.analysis.expected_front import with_expected_front
from nas.analysis.results import Results, Row
from nas.errors import UsageError
from nas.formatting import number_text, printable
from nas.models.retrain.subjects.adaptation import adapt_preset, describe_adaptation
from nas.models.retrain.subjects.preset_weights import check_has_weights
from nas.models.retrain.subjects.timm_models import ImageShape, check_timm_model
from nas.objectives.costs import costs_of
from nas.study.attribute_types import is_number_text
from nas.study.retrained import RunKind, RunStart, run_name
from search_space import Architecture, presets
from search_space.errors import SpaceError, suggestion, with_value
from trainers.data.description import DatasetInfo

PRETRAINED = ":pretrained"
"""After the name of a baseline: its training begins with timm's weights."""
_FILE_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Subject:
    """A network to train in full.

    Args:
        kind: what it is.
        source: the name of the preset or of timm's model, the number of the trial, or the id of the architecture.
        start: what the training begins with.
        architecture: the architecture; None for a model of timm.
        macs: multiply-adds of an image; None if they cannot be counted.
        params: number of parameters.
        note: how a preset was adapted; empty if it was not.
    """

    kind: RunKind
    source: str
    start: RunStart
    architecture: Architecture | None
    macs: int | None
    params: int
    note: str = ""

    @property
    def name(self) -> str:
        """The name of its runs (`nas.study.retrained`)."""
        return run_name(self.kind, self.source, self.start)

    @property
    def trial(self) -> int | None:
        """The number of the trial, if it is one."""
        return int(self.source) if self.kind == "trial" else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        architecture = None if self.architecture is None else self.architecture.to_json()
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**fields, "architecture": architecture}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Subject:
        """The inverse of `to_dict`."""
        text = plain["architecture"]
        return cls(**{**plain, "architecture": None if text is None else Architecture.from_json(text)})


@dataclass(frozen=True)
class FrontSelection:
    """Which trials of the front are trained.

    Args:
        max_macs: the most multiply-adds; None: any.
        top: the most trials, those that are best in the primary objective; None: all.
        is_expected: those of the front that a model expects (`nas.analysis.expected_front`), not of the front of results.

    Raises:
        UsageError: a number is not above 0.
    """

    max_macs: float | None = None
    top: int | None = None
    is_expected: bool = False

    def __post_init__(self) -> None:
        if self.max_macs is not None and not self.max_macs > 0:
            raise UsageError(f"--max-macs: must be above 0, found {number_text(self.max_macs)}")
        if self.top is not None and self.top < 1:
            raise UsageError(f"--top: must be at least 1, found {self.top}")

    def rows(self, results: Results) -> list[Row]:
        """The trials of the front of `results` that are selected, by their MACs.

        Raises:
            UsageError: there are none.
        """
        if self.is_expected:
            results = with_expected_front(results)
        front = results.front
        if front.empty:
            raise UsageError(f"--front: {results.folder} has no front yet, for no trial is complete")
        if self.max_macs is not None:
            front = front[front["macs"] <= self.max_macs]
            if front.empty:
                least = int(results.front["macs"].min())
                raise UsageError(f"--max-macs: the front begins at {least:,} MACs, found {number_text(self.max_macs)}")
        if self.top is not None:
            primary = results.primary
            front = front.sort_values([primary.name, "trial"], ascending=[primary.direction == "minimize", True])
            front = front.head(self.top)
        return [row for _, row in front.sort_values(["macs", "trial"]).iterrows()]


def resolve_word(word: str, results: Results, images: DatasetInfo, start: RunStart) -> Subject:
    """The subject that `word` names.

    Args:
        word: a number, `best`, a file, or the name of a preset.
        results: of the study.
        images: those of the study.
        start: what the training begins with.

    Raises:
        UsageError: there is no such subject, it cannot be trained on the images, or it has no weights to start from.
        SpaceError: the file breaks a rule; the error names it.
    """
    if word == "best" or is_number_text(word):
        return trial_subject(results.trial(word), start)
    if start == "trial":
        raise UsageError(f"--start trial: needs a trial, which has weights, found {printable(word)}")
    if Path(word).suffix in _FILE_SUFFIXES or "/" in word:
        return _file_subject(Path(word), images, start)
    if word in presets.names():
        return preset_subject(word, images, start)
    rule = "must be a trial (its number, or best), the file of an architecture, or a preset"
    hint = suggestion(word, [*presets.names(), "best"])
    raise UsageError(f"retrain: {with_value(f'{rule}{hint}', repr(printable(word)))}")


def trial_subject(row: Row, start: RunStart) -> Subject:
    """The trial in `row`.

    Raises:
        UsageError: it is not complete, or its architecture is damaged.
    """
    number = int(row["trial"])
    if row["state"] != "complete":
        raise UsageError(f"trial {number}: only a complete trial can be retrained, this one is {row['state']}")
    if start == "pretrained":
        raise UsageError(
            f"--start pretrained: timm has weights of presets and of its own models alone, found trial {number}"
        )
    try:
        architecture = Architecture.from_dict(row["architecture"])
    except SpaceError as error:
        raise UsageError(f"trial {number}: its architecture in the database is missing or damaged: {error}") from None
    return _subject("trial", str(number), start, architecture)


def preset_subject(name: str, images: DatasetInfo, start: RunStart) -> Subject:
    """The preset `name` on `images`.

    Raises:
        UsageError: it cannot take them, or timm has no weights for it.
    """
    if start == "pretrained":
        check_has_weights(name)
    architecture = adapt_preset(name, images, keep_patch=start == "pretrained")
    return replace(_subject("preset", name, start, architecture), note=describe_adaptation(name, architecture))


def baseline_subject(name: str, images: DatasetInfo, options: Mapping[str, Any]) -> Subject:
    """The baseline `name`: a preset, or a model of timm, with `:pretrained` to begin with timm's weights.

    Args:
        name: the name; a preset comes before a model of timm's of the same name, which is the same network.
        images: those of the study.
        options: further arguments of `timm.create_model`.

    Raises:
        UsageError: there is no such model, or it cannot take the images.
    """
    bare = name.removesuffix(PRETRAINED)
    if bare == name and name in presets.names():
        return preset_subject(name, images, "scratch")
    start: RunStart = "scratch" if bare == name else "pretrained"
    costs = check_timm_model(bare, shape_of(images), options, "--baseline")
    return Subject("baseline", bare, start, None, costs.macs, costs.params)


def shape_of(images: DatasetInfo) -> ImageShape:
    """What a model must take and give."""
    return ImageShape(images.in_chans, images.image_size, len(images.class_names))


def check_unique(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """`subjects` without those that were named twice, in their order."""
    return tuple({subject.name: subject for subject in subjects}.values())


def _file_subject(file: Path, images: DatasetInfo, start: RunStart) -> Subject:
    if start == "pretrained":
        raise UsageError(f"--start pretrained: timm has weights of presets and of its own models alone, found {file}")
    try:
        architecture = Architecture.from_file(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UsageError(f"{file}: the architecture cannot be read: {reason}") from None
    for key, value in (
        ("image_size", images.image_size),
        ("in_chans", images.in_chans),
        ("num_classes", len(images.class_names)),
    ):
        found = getattr(architecture, key)
        if found != value:
            shown, expected = (list(v) if isinstance(v, tuple) else v for v in (found, value))
            raise UsageError(f"{file}: {key}: must be that of the study's images, {expected}, found {shown}")
    return _subject("architecture", architecture.id, start, architecture)


def _subject(kind: RunKind, source: str, start: RunStart, architecture: Architecture) -> Subject:
    costs = costs_of(architecture)
    return Subject(kind, source, start, architecture, costs.macs, costs.params)
