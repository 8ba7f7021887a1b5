"""The registry of checks.

    @check("weights-missing", "error")
    def find_missing_weights(study: ExaminedStudy) -> Iterator[Defect]:
        \"\"\"A complete trial without weights.\"\"\"
        yield Defect("trials/00003", "its weights are missing")

The name of a check is the code of what it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from nas.doctor.defect import Defect, Severity
from nas.doctor.examined import ExaminedStudy

Function: TypeAlias = Callable[[ExaminedStudy], Iterator[Defect]]


@dataclass(frozen=True)
class StudyCheck:
    """A check.

    Args:
        code: its name, words joined by hyphens.
        severity: of what it finds.
        function: yields what it finds.
    """

    code: str
    severity: Severity
    function: Function


CHECKS: dict[str, StudyCheck] = {}
"""Code -> check, in the order in which they run."""


def check(code: str, severity: Severity) -> Callable[[Function], Function]:
    """Register the decorated function as the check `code`.

    Raises:
        ValueError: the code is registered already.
    """

    def register(function: Function) -> Function:
        if code in CHECKS:
            raise ValueError(f"check {code!r} is registered already")
        CHECKS[code] = StudyCheck(code, severity, function)
        return function

    return register
