"""The exceptions of training.

TrainerError             something about data or training cannot go on
├── DataError            data, or a description of data, that breaks a rule; also a ValueError
└── TrainingError        training itself failed: a loss that is not finite
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TrainerError(Exception):
    """Something about data or training cannot go on; the text says what."""


class DataError(TrainerError, ValueError):
    """Data that break a rule.

    Args:
        place: the file, the folder or the key of the configuration to blame.
        rule: the rule, in words.
        value: the value found, if one value is to blame.
    """

    def __init__(self, place: str, rule: str, value: object = None) -> None:
        self.place = place
        self.rule = rule
        self.value = value
        super().__init__(place, rule, value)

    def __str__(self) -> str:
        found = "" if self.value is None else f", found {self.value!r}"
        # A file's name may hold line ends, or bytes that no terminal shows.
        place = self.place if self.place.isprintable() else repr(self.place)
        return f"{place}: {self.rule}{found}"


class TrainingError(TrainerError):
    """Training failed.

    Args:
        epoch: the epoch in which it failed, from 1.
        step: the step within that epoch, from 1; 0 if it failed outside the steps.
        reason: what happened.
    """

    def __init__(self, epoch: int, step: int, reason: str) -> None:
        self.epoch = epoch
        self.step = step
        self.reason = reason
        super().__init__(epoch, step, reason)

    def __str__(self) -> str:
        return f"epoch {self.epoch}, step {self.step}: {self.reason}"


def unknown_source(name: object, known: Iterable[str]) -> DataError:
    """The error for an unknown data source: lists the `known` ones and asks after the nearest."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return DataError("source", f"no such data source (known: {', '.join(names)}){hint}", name)
