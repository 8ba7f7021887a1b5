"""The user attributes of a study as typed values, whatever they were read from (`nas.study.database.storage` lists them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nas import objectives
from nas.errors import UsageError
from nas.objectives import Objective
from nas.study.attribute_types import is_number_text
from nas.study.environment import ATTRIBUTE as ENVIRONMENTS

MAX_SPACE_DIGITS = 4_000
"""Digits of the size of a space; Python reads no more of a number in a text."""


@dataclass(frozen=True)
class StudyInfo:
    """A study without its trials.

    Args:
        folder: the folder of the study; None for a study in another storage.
        name: the name of the study.
        attributes: its user attributes.
        directions: the number of its values.
    """

    folder: Path | None
    name: str
    attributes: Mapping[str, Any]
    directions: int

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives, in the order of the values of trials.

        Raises:
            UsageError: the study does not list them.
        """
        stored = self.attributes.get("objectives")
        if not isinstance(stored, list) or not stored or len(stored) != self.directions:
            rule = f"the attribute `objectives` of its study must list its {self.directions} objectives"
            raise UsageError(f"{self.folder or self.name}: {rule}, found {stored!r}; did `nas search` write it?")
        try:
            return tuple(objectives.from_dict(item) for item in stored)
        except (KeyError, TypeError, AttributeError, ValueError):
            rule = "each entry of the attribute `objectives` must have a name and a direction"
            raise UsageError(f"{self.folder or self.name}: {rule}, found {stored!r}") from None

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration at the start of the study, plain JSON."""
        return self.attributes.get("config") or {}

    @property
    def dataset(self) -> Mapping[str, Any]:
        """The description of the images, plain JSON."""
        return self.attributes.get("dataset") or {}

    @property
    def space_size(self) -> int | None:
        """The number of architectures in the space; None if the study does not say."""
        text = str(self.attributes.get("space_size", ""))
        return int(text) if is_number_text(text, max_digits=MAX_SPACE_DIGITS) else None

    @property
    def environments(self) -> list[Mapping[str, Any]]:
        """The versions and machines of the study's searches (`nas.study.environment`); none in studies of version 0.1."""
        return list(self.attributes.get(ENVIRONMENTS) or [])

    @property
    def end_reason(self) -> str:
        """Why the last search ended before it had its number of trials; empty if it had them, or did not end."""
        return str(self.attributes.get("end_reason") or "")

    @property
    def test_accuracy(self) -> dict[str, float]:
        """Trial number as text -> accuracy on the test split, of the trials that were tested."""
        return dict(self.attributes.get("test_accuracy") or {})

    @property
    def limits(self) -> Mapping[str, float]:
        """Objective -> worst value allowed."""
        return self.config.get("limits") or {}

    @property
    def notes(self) -> dict[str, str]:
        """Trial number as text -> the user's note."""
        return dict(self.attributes.get("notes") or {})

    @property
    def pins(self) -> list[int]:
        """The numbers of the trials that the user pinned."""
        return list(self.attributes.get("pins") or [])
