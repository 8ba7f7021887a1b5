"""The exceptions of this package.

TrainerError             base class: data or a training failed
├── BrokenRuleError      a value breaks a rule; also a ValueError
│   ├── DataError        data, or a description of data
│   │   └── DiskError    a disk that is full or broken; the data are not at fault
│   └── RecipeError      a recipe, or what it asks for and its network, data or libraries lack
├── TrainingError        a training failed: a loss that is not finite
├── TrainingInterrupted  a training was asked to stop, and can be continued
└── ProcessLostError     one of the processes that train a network together does not answer any more
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SUGGESTION = "; did you mean "


class TrainerError(Exception):
    """Base class of the errors of data and training."""


class BrokenRuleError(TrainerError, ValueError):
    """A value breaks a rule.

    Args:
        place: the file, the folder or the key of the configuration that is wrong.
        rule: the rule that it breaks.
        value: the value found, if there is one.
    """

    def __init__(self, place: str, rule: str, value: object = None) -> None:
        self.place = place
        self.rule = rule
        self.value = value
        super().__init__(place, rule, value)

    def __str__(self) -> str:
        rule, start, names = self.rule.partition(_SUGGESTION)  # which comes after the value
        value = "" if self.value is None else f", found {self.value!r}"
        # The name of a file may hold line ends, or bytes that no terminal shows.
        place = self.place if self.place.isprintable() else repr(self.place)
        return f"{place}: {rule}{value}{start}{names}"


class DataError(BrokenRuleError):
    """Data that break a rule."""


class DiskError(DataError):
    """A disk that is full or broken: trouble of the machine, whatever the data."""


class RecipeError(BrokenRuleError):
    """A recipe of a full training breaks a rule, or does not fit its network, its data or the installed libraries.

    Its place is the key of the recipe, or "teacher".
    """


class TrainingError(TrainerError):
    """A training failed.

    Args:
        epoch: the epoch in which it failed, from 1; 0: before the first.
        step: the step within that epoch, from 1; 0: outside the steps.
        reason: what happened.
    """

    def __init__(self, epoch: int, step: int, reason: str) -> None:
        self.epoch = epoch
        self.step = step
        self.reason = reason
        super().__init__(epoch, step, reason)

    def __str__(self) -> str:
        return f"epoch {self.epoch}, step {self.step}: {self.reason}"


class TrainingInterrupted(TrainerError):
    """A training has stopped between two steps, because it was asked to. Its checkpoint, if it has one, continues it."""


class ProcessLostError(TrainerError):
    """One of the processes that train a network together has ended, or does not answer. A checkpoint continues the training."""


def skippable(error: DataError) -> DataError:
    """`error` of one image, with the setting that leaves such images out; that of a disk as it is."""
    if isinstance(error, DiskError):
        return error
    found = "" if error.value is None else f", found {error.value!r}"
    return DataError(error.place, f"{error.rule}{found}; data.on_error=skip leaves such images out")


def unknown_source(name: object, known_names: Iterable[str]) -> DataError:
    """The error for an unknown data source: lists `known_names` and suggests the closest."""
    names = sorted(known_names)
    return DataError("source", f"no such data source (known: {', '.join(names)}){suggestion(name, names)}", name)


def suggestion(name: object, known: Iterable[str]) -> str:
    """The `known` names that are close to `name`: `; did you mean X or Y?`; empty if there is none."""
    spellings = {text.casefold(): text for text in known}
    matches = difflib.get_close_matches(str(name).casefold(), spellings, n=3, cutoff=0.5)
    return f"{_SUGGESTION}{' or '.join(spellings[match] for match in matches)}?" if matches else ""
