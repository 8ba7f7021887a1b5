"""The registry of diagnoses.

    class Sharpness(Diagnosis[SharpnessResult]):
        name = "sharpness"
        order = 9
        ...

    register(Sharpness())

A diagnosis measures one model at a time and returns a frozen dataclass of numbers. It then draws the results of all models in
figures of its own, in the colours that it is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from nas.errors import UnknownNameError, UsageError
from nas.models.diagnose.subject import DiagnosedModel, ImageSample

Result = TypeVar("Result")
Advance: TypeAlias = Callable[[float], None]
"""Called with the passes of an image that were done."""


class NotApplicable(Exception):
    """A diagnosis says nothing about this model; the message says why."""


@dataclass(frozen=True)
class Picture:
    """An image of a page.

    Args:
        caption: plain text below it.
        url: a `data:` URL.
        width: in CSS pixels.
    """

    caption: str
    url: str
    width: int


@dataclass(frozen=True)
class Drawing:
    """What a diagnosis shows.

    Args:
        figures: as `nas.html.figure_record` gives them; a `note` is a text below the heading.
        pictures: below the figures.
        notes: sentences, plain text.
    """

    figures: Sequence[Mapping[str, Any]] = ()
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = field(default=())


class Diagnosis(ABC, Generic[Result]):
    """A diagnosis.

    Attributes:
        name: for `--only`, and its key in JSON.
        order: its place on the page, ascending; equal ones in alphabetical order.
        title: its heading.
        about: what is measured and how it is read, with the source; plain text.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    title: ClassVar[str]
    about: ClassVar[str]

    @abstractmethod
    def passes(self, images: ImageSample) -> float:
        """About how many forward passes of one image it takes: for the progress bar."""

    @abstractmethod
    def measure(self, subject: DiagnosedModel, images: ImageSample, advance: Advance) -> Result:
        """Diagnose `subject` on `images`: a frozen dataclass that `dataclasses.asdict` makes plain JSON of.

        Raises:
            NotApplicable: it says nothing about this model.
        """

    @abstractmethod
    def numbers(self, result: Result) -> Mapping[str, float | None]:
        """The main numbers by their heading in tables; the headings are the same for all models."""

    @abstractmethod
    def draw(self, results: Mapping[str, Result], colours: Mapping[str, str], images: ImageSample) -> Drawing:
        """Draw the results of the models by name, each in its colour."""


DIAGNOSES: dict[str, Diagnosis[Any]] = {}
"""Name -> diagnosis."""


def register(diagnosis: Diagnosis[Any]) -> None:
    """Register `diagnosis` under its name.

    Raises:
        ValueError: the name is registered already.
    """
    if diagnosis.name in DIAGNOSES:
        raise ValueError(f"diagnosis {diagnosis.name!r} is registered already")
    DIAGNOSES[diagnosis.name] = diagnosis


def chosen(names: Sequence[str] | None) -> tuple[Diagnosis[Any], ...]:
    """The diagnoses called `names`, all for None, in the order in which they are shown.

    Raises:
        UnknownNameError: there is no such diagnosis; names the closest.
        UsageError: there is no name, or one is given twice.
    """
    ordered = sorted(DIAGNOSES.values(), key=lambda diagnosis: (diagnosis.order, diagnosis.name))
    if names is None:
        return tuple(ordered)
    for name in names:
        if name not in DIAGNOSES:
            raise UnknownNameError("--only", "diagnosis", name, DIAGNOSES)
    if not names or len(set(names)) < len(names):
        raise UsageError(f"--only: must be different names of diagnoses, found {','.join(names)!r}")
    return tuple(diagnosis for diagnosis in ordered if diagnosis.name in names)
