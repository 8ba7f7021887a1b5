"""What `nas fidelity` has measured of a study, read from the file of its trainings (`DIR/fidelity/trainings.jsonl`).

Only trainings with all images in full size are read: those of the study's own number of epochs (the proxy) and those of the
longest training (the large budget). A line that is damaged is skipped, as `nas fidelity` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers.input_files import read_input
from trainers.json_text import parse_json

FIDELITY_FILE = Path("fidelity") / "trainings.jsonl"
MIN_RANKED = 6
"""Architectures needed for a verdict on a ranking: of five in random order, one in eight has a tau of 0.6 or more."""


@dataclass(frozen=True)
class FidelityMeasurements:
    """Accuracies of repeated trainings.

    Args:
        proxy: id of an architecture -> its accuracies after the proxy training, one per seed.
        large: the same after the longest training; empty if there is none longer than the proxy.
    """

    proxy: Mapping[str, tuple[float, ...]]
    large: Mapping[str, tuple[float, ...]]

    @property
    def noise(self) -> float:
        """The standard deviation between trainings of one architecture, pooled; NaN if none was trained twice."""
        groups = [np.array(values) for values in self.proxy.values() if len(values) > 1]
        freedom = sum(len(values) - 1 for values in groups)
        if not freedom:
            return math.nan
        return math.sqrt(sum(float(((values - values.mean()) ** 2).sum()) for values in groups) / freedom)

    @property
    def means(self) -> tuple[list[float], list[float]]:
        """The mean accuracies after both trainings, of the architectures that have both."""
        both = [name for name in self.proxy if name in self.large]
        proxy, large = ([float(np.mean(values[name])) for name in both] for values in (self.proxy, self.large))
        return proxy, large


def read_fidelity(folder: Path, epochs: int | None) -> FidelityMeasurements | None:
    """What was measured of the study in `folder`, whose trainings have `epochs`; None if nothing was."""
    if epochs is None:
        return None
    try:
        text = read_input(folder / FIDELITY_FILE).decode(errors="replace")
    except OSError:
        return None
    budgets: dict[int, dict[str, dict[int, float]]] = {}  # epochs -> id -> seed -> accuracy; the latest record counts
    for name, seed, trained, accuracy in _trainings(text):
        budgets.setdefault(trained, {}).setdefault(name, {})[seed] = accuracy
    longest = max(budgets, default=0)
    proxy = budgets.get(epochs, {})
    large = budgets[longest] if longest > epochs else {}
    if not proxy:
        return None
    return FidelityMeasurements(*({k: tuple(v.values()) for k, v in budget.items()} for budget in (proxy, large)))


def _trainings(text: str) -> Iterator[tuple[str, int, int, float]]:
    """(id, seed, epochs, final accuracy) of each training with all images in full size."""
    for line in text.splitlines():
        try:
            record: Any = parse_json(line)
            if record.get("images") != 1 or record.get("pixels") != 1 or "failure" in record:
                continue
            accuracy = float(record["curve"][-1][0])
            if math.isfinite(accuracy):
                yield str(record["id"]), int(record["seed"]), int(record["epochs"]), accuracy
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
            continue
