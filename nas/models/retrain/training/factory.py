"""The factory that an executor sends to the workers of full trainings. It imports torch only when it is called."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from nas.execution.base import WorkerSite
from nas.models.retrain.plan.jobs import RetrainSettings

if TYPE_CHECKING:
    from nas.models.retrain.training.worker import RetrainWorker


@dataclass(frozen=True)
class RetrainWorkerFactory:
    """Creates the worker of a process."""

    settings: RetrainSettings

    def __call__(self, site: WorkerSite) -> RetrainWorker:
        """The worker at `site`."""
        import_module("timm.optim")  # by which recipes make optimizers: sooner here, where garbage collection is paused
        from nas.models.retrain.training.run_files import open_run_files
        from nas.models.retrain.training.worker import RetrainWorker

        return RetrainWorker(self.settings, site.device, open_run_files(self.settings, site.files))
