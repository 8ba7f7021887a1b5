"""The tables from which measured objectives are predicted: operators are timed once, at the start of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas import objectives, sampler as samplers
from nas.driver.display import Display
from nas.errors import StudyError
from nas.evaluation.settings import MeasuringSettings
from nas.execution.base import Executor
from nas.execution.interrupts import Interrupts
from nas.study.config import StudyConfig
from nas.study.device_kind import is_of_kind
from nas.study.operator_table import (
    OperatorTable,
    operator_times,
    operators_to_time,
    predicted_objectives,
    read_tables,
    write_tables,
)
from search_space import SearchSpace
from search_space.operators import Operator


@dataclass(frozen=True)
class OperatorTiming:
    """The timing of operators for a study.

    Args:
        config: the configuration of the study.
        file: where the tables are kept.
        measuring: how operators are timed.
    """

    config: StudyConfig
    file: Path
    measuring: MeasuringSettings

    def tables(
        self, space: SearchSpace, executor: Executor, display: Display, interrupts: Interrupts
    ) -> dict[str, OperatorTable]:
        """Measured objective -> its table; empty if nothing is predicted, or the operators cannot be timed."""
        names = [name for name in predicted_objectives() if name in self.measuring.objectives]
        budget_s = self.config.throughput.operators_s
        uses_tables = samplers.find(self.config.sampler.name).uses_features or self.config.throughput.measure == "front"
        if not uses_tables or not names or not budget_s:
            return {}
        tables = read_tables(self.file)
        if tables.keys() >= set(names):
            return tables
        operators = operators_to_time(space, self.config.seed)
        with display.step("timing operators"):
            for name in names:
                batch_size = objectives.get(name).pass_images or self.measuring.batch_size
                threads = self.config.resources.cpus_per_trial
                arguments = (operators, batch_size, budget_s / len(names), self.measuring, threads)
                try:
                    seconds = executor.call(time_operators, *arguments, tick=interrupts.check)
                except StudyError as error:
                    display.warn(f"operators could not be timed: {error}; throughput is not predicted")
                    return {}
                tables[name] = OperatorTable(operator_times(operators, seconds), batch_size)
        write_tables(tables, self.file)
        return tables


def time_operators(
    operators: list[Operator],
    batch_size: int,
    max_time_s: float,
    measuring: MeasuringSettings,
    threads: int,
    device: str,
) -> list[float]:
    """Time a pass of `batch_size` images through each of `operators`, in seconds, until `max_time_s` are used up.

    Runs in a worker.

    Raises:
        StudyError: the device is of another kind than the study measures on.
    """
    import torch

    from nas.evaluation.measurer import Measurer
    from trainers.device import device_label
    from trainers.device_lock import DeviceLock

    label = device_label(torch.device(device))
    if measuring.device is not None and not is_of_kind(label, measuring.device):
        raise StudyError(f"throughput.device is {measuring.device}, found {label}")
    torch.set_num_threads(threads)
    return Measurer(measuring, device, DeviceLock(device)).time_operators(operators, batch_size, max_time_s)
