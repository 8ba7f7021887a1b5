"""How the throughput of full trainings is measured: as that of the study's trials, and only on the device of their measurements.

Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import ValidationError

from nas.errors import UsageError
from nas.evaluation.settings import MeasuringSettings
from nas.models.retrain.plan.workers import study_resources
from nas.study.config import Throughput
from nas.study.content import StudyContent
from nas.study.device_kind import is_of_kind
from nas.study.layout import REFERENCE, may_write
from nas.study.measuring_device import ATTRIBUTE
from trainers.measuring.effort import default_batch_size

OBJECTIVE = "images_per_s"


@dataclass(frozen=True)
class RunMeasuring:
    """How a worker measures.

    Args:
        settings: those of the study, but for the batch size.
        batch_size: images of a pass; None: the default of the device.
        threads: CPU threads of the passes.
        device: the name of the device of the study's measurements; None: `settings.device` says which kind it is.
    """

    settings: MeasuringSettings
    batch_size: int | None
    threads: int
    device: str | None

    def is_on(self, name: str, label: str) -> bool:
        """True if measurements on a device compare with those of the study.

        Args:
            name: of the device (`trainers.device.device_name`).
            label: its type and its name (`trainers.device.device_label`).
        """
        kind = self.settings.device
        return name == self.device if kind is None else is_of_kind(label, kind)

    def settings_on(self, device: str) -> MeasuringSettings:
        """The settings on `device`, such as "cuda:1", of a machine that may not see the folder of the study."""
        file = self.settings.reference_file
        return replace(
            self.settings,
            batch_size=self.batch_size or default_batch_size(device),
            reference_file=file if file is not None and may_write(file.parent) else None,
        )


def study_measuring(study: StudyContent) -> RunMeasuring | None:
    """How `study` has measured throughput; None if it has not, or another version wrote settings that this one cannot read."""
    try:
        names = {objective.name for objective in study.objectives}
        throughput = Throughput.model_validate(study.config.get("throughput") or {})
    except (UsageError, ValidationError):
        return None
    device = study.attributes.get(ATTRIBUTE)
    if OBJECTIVE not in names | set(study.config.get("limits") or {}):
        return None
    if throughput.device is None and not isinstance(device, str):
        return None
    reference = study.folder.resolve() / REFERENCE
    settings = MeasuringSettings(objectives=(OBJECTIVE,), reference_file=reference, **throughput.each_measurement)
    threads = study_resources(study).cpus_per_trial
    return RunMeasuring(settings, throughput.batch_size, threads, device if isinstance(device, str) else None)
