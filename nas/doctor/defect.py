"""What a check finds, and how it is repaired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from nas.doctor.removed import RemovedFiles

Severity: TypeAlias = Literal["error", "warning", "note"]
"""error: something is lost, or a command stops at it; warning: left over or doubtful; note: nothing has to be done."""


@dataclass(frozen=True)
class Repair:
    """A repair.

    Args:
        text: what it does, as the end of "--repair ...": "moves it to removed-2026-11-26".
        apply: does it; called while no search runs. It must also work if another repair has done it already.
    """

    text: str
    apply: Callable[[RemovedFiles], None]


@dataclass(frozen=True)
class Defect:
    """What a check finds.

    Args:
        place: a file or folder below that of the study, or a trial.
        text: what is wrong, in one line.
        repair: how it is repaired; None: it cannot be, or need not.
    """

    place: str
    text: str
    repair: Repair | None = None


@dataclass(frozen=True)
class DoctorFinding:
    """A defect with the check that found it.

    Args:
        code: the name of the check.
        severity: how bad it is.
        defect: what was found.
    """

    code: str
    severity: Severity
    defect: Defect

    @property
    def needs_repair(self) -> bool:
        """True if something should be done."""
        return self.severity != "note"

    @property
    def line(self) -> str:
        """`error weights-missing: trials/00003: ...`, and what `--repair` would do."""
        repair = "" if self.defect.repair is None else f" (--repair {self.defect.repair.text})"
        return f"{self.severity} {self.code}: {self.defect.place}: {self.defect.text}{repair}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        defect = self.defect
        repair = None if defect.repair is None else defect.repair.text
        named = {"code": self.code, "severity": self.severity}
        return {**named, "place": defect.place, "text": defect.text, "repair": repair}
