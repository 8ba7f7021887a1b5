"""What an executor sends to its workers: a recipe for an evaluator. Needs no torch until it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.evaluation.settings import EvaluationSettings

if TYPE_CHECKING:
    from nas.evaluation.evaluator import Evaluator


@dataclass(frozen=True)
class EvaluatorFactory:
    """Makes the worker of a process."""

    settings: EvaluationSettings

    def __call__(self, device: str) -> Evaluator:
        """The evaluator on `device`."""
        from nas.evaluation.evaluator import Evaluator

        return Evaluator(self.settings, device)
