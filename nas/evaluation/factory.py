"""The factory that an executor sends to its workers. It imports torch only when it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.evaluation.settings import EvaluationSettings
from nas.execution.base import WorkerSite

if TYPE_CHECKING:
    from nas.evaluation.evaluator import Evaluator


@dataclass(frozen=True)
class EvaluatorFactory:
    """Creates the evaluator of a worker process."""

    settings: EvaluationSettings

    def __call__(self, site: WorkerSite) -> Evaluator:
        """The evaluator at `site`."""
        from nas.evaluation.evaluator import Evaluator
        from nas.evaluation.place import open_trial_files

        return Evaluator(self.settings, site.device, open_trial_files(self.settings, site.files))
