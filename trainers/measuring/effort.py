"""How long and with how many images to measure: the only place that states these defaults. No torch.

A study's `throughput:` section (`nas.study.config`), the worker's settings (`nas.evaluation.settings`) and `measure` read
them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_BATCH_SIZES: Mapping[str, int] = {"cpu": 16, "cuda": 128}
"""Images of a timed pass, for each type of device. On a CPU short passes are more precise: they are disturbed less."""


def default_batch_size(device: str) -> int:
    """Images of a timed pass on `device`, such as "cpu" or "cuda:1"; that of a CPU for unknown types of devices."""
    return DEFAULT_BATCH_SIZES.get(device.partition(":")[0], DEFAULT_BATCH_SIZES["cpu"])


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Args:
        min_time_s: seconds of timed passes, at least.
        max_time_s: seconds after which measuring ends, however wide the interval is.
        interval: half the 95% confidence interval of the median, as a share of the median, at which measuring may end.
        min_repeats: number of timed passes, at least; 2 or more, or there is no interval.

    Raises:
        ValueError: a value is out of its range.
    """

    min_time_s: float = 0.02
    max_time_s: float = 0.5
    interval: float = 0.02
    min_repeats: int = 5

    def __post_init__(self) -> None:
        if self.min_repeats < 2 or not 0 <= self.min_time_s <= self.max_time_s or self.interval <= 0:
            rule = "min_repeats must be 2 or more, 0 <= min_time_s <= max_time_s and interval above 0"
            raise ValueError(f"{rule}, found {self}")
