"""The factory that an executor sends to the workers of a fidelity run. It imports torch only when it is called."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.execution.base import WorkerSite
from nas.fidelity.settings import FidelitySettings

if TYPE_CHECKING:
    from nas.fidelity.worker import FidelityWorker


@dataclass(frozen=True)
class FidelityWorkerFactory:
    """Creates the worker of a process."""

    settings: FidelitySettings

    def __call__(self, site: WorkerSite) -> FidelityWorker:
        """The worker at `site`."""
        from nas.evaluation.place import obtain_images
        from nas.fidelity.worker import FidelityWorker

        settings = self.settings
        images = obtain_images(settings.data_file, settings.fingerprint, site.files)
        return FidelityWorker(replace(settings, data_file=images), site.device)
