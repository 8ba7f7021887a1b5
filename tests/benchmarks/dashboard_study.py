"""A synthetic study of many trials, as `nas search studies/folder.yaml` would write it, for measuring what reads studies.

    python tests/benchmarks/dashboard_study.py --trials 10000 --out runs/synthetic

Architectures are drawn from the space, costs are exact; accuracies, learning curves, throughput and times are plausible random
numbers. Of 100 trials, about 4 are refused, 3 stopped at a rung, 2 failed and 1 is a duplicate; the last `--running` run. The
tables are created by Optuna and filled by plain SQL: 10,000 trials (about 90 MB) take a few seconds. The same seed writes the
same study.
"""

from __future__ import annotations

import argparse
import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from nas import objectives
from nas.objectives.costs import costs_of
from nas.study.config import StudyConfig
from nas.study.database.storage import set_metric_names
from nas.study.layout import CONFIG, DATABASE
from search_space import Architecture, SearchSpace

SPACE = Path(__file__).parents[2] / "studies" / "folder.yaml"
START = datetime(2026, 1, 5, 9)
WORKERS = 8
EPOCHS = 20
RUNG = 5
"""The epoch at which stopped trials were stopped."""
DEVICE = "NVIDIA H100 80GB HBM3"
BATCH_TRIALS = 2000
OUTCOMES = {"completed": 0.9, "refused": 0.04, "stopped": 0.03, "failed": 0.02, "duplicate": 0.01}
STATES = {"completed": "COMPLETE", "refused": "PRUNED", "stopped": "PRUNED", "failed": "FAIL", "duplicate": "FAIL"}
FAILURES = (
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.5 GiB (see trials/00000/error.txt)",
    "FloatingPointError: the loss is not finite at epoch 3",
    "the worker died (signal 9)",
)
MIXER_ACCURACY = {
    "conv": 0.02, "lambda": 0.03, "attention": 0.025, "global_filter": 0.01, "afno": 0.0, "shift": -0.01, "pool": -0.04,
}  # fmt: skip
MIXER_SLOWNESS = {"lambda": 1.6, "attention": 1.3, "global_filter": 1.5, "afno": 2.0, "shift": 0.8, "pool": 0.7}


@dataclass
class Rows:
    """Rows of Optuna's tables."""

    trials: list[tuple[Any, ...]] = field(default_factory=list)
    attributes: list[tuple[int, str, str]] = field(default_factory=list)
    system_attributes: list[tuple[int, str, str]] = field(default_factory=list)
    params: list[tuple[int, str, float, str]] = field(default_factory=list)
    values: list[tuple[int, int, float, str]] = field(default_factory=list)
    intermediate_values: list[tuple[int, int, float, str]] = field(default_factory=list)

    def write(self, connection: sqlite3.Connection) -> None:
        """Insert the rows, in one transaction."""
        tables = {
            "trials (trial_id, number, study_id, state, datetime_start, datetime_complete)": self.trials,
            "trial_user_attributes (trial_id, key, value_json)": self.attributes,
            "trial_system_attributes (trial_id, key, value_json)": self.system_attributes,
            "trial_params (trial_id, param_name, param_value, distribution_json)": self.params,
            "trial_values (trial_id, objective, value, value_type)": self.values,
            "trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)": (
                self.intermediate_values
            ),
        }
        for table, rows in tables.items():
            marks = ", ".join("?" * (table.count(",") + 1))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        connection.commit()


class TrialGenerator:
    """Generates the trials of a study, in the order of their numbers.

    Args:
        space: the search space.
        seed: the same seed generates the same trials.
        start: the time from which the workers are free.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, start: datetime = START) -> None:
        self.space = space
        self.rng = np.random.default_rng(seed)
        self.start = start
        self.free_at_s = [0.0] * WORKERS

    def add(self, number: int, rows: Rows, *, is_running: bool = False) -> None:
        """Append the rows of the trial `number`."""
        trial_id = number + 1
        architecture = self._architecture(trial_id, rows)
        outcome = str(self.rng.choice(list(OUTCOMES), p=list(OUTCOMES.values())))
        attributes = self._costs(architecture)
        values = None
        wall_s = 2.0
        if is_running:
            attributes |= {"seed": number}
        elif outcome in ("completed", "stopped"):
            attributes |= self._measured(architecture, attributes["macs"])
            trained = self._trained(architecture, attributes["macs"], RUNG if outcome == "stopped" else EPOCHS)
            attributes |= {"seed": number, **trained, "idle_s": 0.2, "outcome": outcome}
            accuracy, wall_s = trained["curve"][-1]["val_accuracy"], trained["wall_s"]
            if outcome == "completed":
                values = (accuracy, attributes["macs"], attributes["images_per_s"])
            else:
                rows.intermediate_values.append((trial_id, RUNG, accuracy, "FINITE"))
        else:
            attributes |= self._not_trained(outcome, number)
        started, ended = self._times(wall_s)
        state = "RUNNING" if is_running else STATES[outcome]
        rows.trials.append((trial_id, number, 1, state, started, None if is_running else ended))
        rows.attributes += [(trial_id, name, json.dumps(value)) for name, value in attributes.items()]
        rows.values += [(trial_id, i, float(value), "FINITE") for i, value in enumerate(values or ())]

    def _architecture(self, trial_id: int, rows: Rows) -> Architecture:
        labels: dict[str, Any] = {}

        def choose(decision: Any) -> Any:
            index = int(self.rng.integers(len(decision.values)))
            described = {"name": "CategoricalDistribution", "attributes": {"choices": list(decision.labels)}}
            rows.params.append((trial_id, decision.name, float(index), json.dumps(described)))
            labels[decision.name] = decision.labels[index]
            return decision.values[index]

        architecture = self.space.walk(choose)
        if trial_id <= WORKERS:  # the first trials are enqueued
            rows.system_attributes.append((trial_id, "fixed_params", json.dumps(labels)))
        return architecture

    def _costs(self, architecture: Architecture) -> dict[str, Any]:
        cost = costs_of(architecture)
        return {
            "architecture": architecture.to_dict(),
            "id": architecture.id,
            "macs": cost.macs,
            "fft_flops": cost.fft_flops,
            "params": cost.params,
            "activation_bytes": cost.activation_bytes,
        }

    def _measured(self, architecture: Architecture, macs: float) -> dict[str, Any]:
        slowness = np.prod([MIXER_SLOWNESS.get(stage.mixer.name, 1.0) for stage in architecture.stages])
        images_per_s = float(3e9 / macs**0.7 / slowness * self.rng.uniform(0.9, 1.1))
        interval = [images_per_s * 0.98, images_per_s * 1.02]
        details = {
            "images_per_s_interval": interval, "batch_size": 256, "threads": 8, "precision": "float32", "repeats": 60,
            "drift": float(self.rng.normal(1, 0.01)), "clock_mhz": 1980.0, "temperature_c": 41.0,
        }  # fmt: skip
        return {"images_per_s": images_per_s, "throughput": details, "device": DEVICE}

    def _trained(self, architecture: Architecture, macs: float, epochs: int) -> dict[str, Any]:
        mixers = np.mean([MIXER_ACCURACY[stage.mixer.name] for stage in architecture.stages])
        last = float(np.clip(0.55 + 0.1 * (math.log10(macs) - 6) + 2 * mixers + self.rng.normal(0, 0.02), 0.05, 0.99))
        epoch_s = float(1 + macs / 2e7 * self.rng.uniform(0.9, 1.1))
        noise = self.rng.normal(0, 0.005, epochs).tolist()
        curve = [
            {
                "epoch": 1 + epoch,
                "train_loss": 2.3 * math.exp(-0.12 * epoch) * (1 + noise[epoch]),
                "val_loss": 2.3 * math.exp(-0.11 * epoch) * (1 + noise[epoch]),
                "val_accuracy": min(max(last * (1 - 0.8 ** (2 + epoch)) + noise[epoch], 0.0), 1.0),
                "lr": 0.003 * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2,
                "train_s": 0.9 * epoch_s,
                "wall_s": (1 + epoch) * epoch_s,
            }
            for epoch in range(epochs)
        ]
        wall_s = epochs * epoch_s
        return {"curve": curve, "train_s": 0.9 * wall_s, "overhead_s": 0.7, "wall_s": wall_s + 0.7}

    def _not_trained(self, outcome: str, number: int) -> dict[str, Any]:
        if outcome == "failed":
            reason = FAILURES[int(self.rng.integers(len(FAILURES)))]
            return {"seed": number, "failure": reason, "wall_s": 2.0, "outcome": outcome}
        reason = f"duplicate of trial {number // 2}" if outcome == "duplicate" else "limit images_per_s: 812 < 1000"
        return {"refused": reason, "outcome": outcome}

    def _times(self, wall_s: float) -> tuple[str, str]:
        """The start and the end of a trial on the next free worker, as SQLite stores them."""
        worker = int(np.argmin(self.free_at_s))
        start_s = self.free_at_s[worker] + float(self.rng.uniform(0.1, 0.3))
        self.free_at_s[worker] = start_s + wall_s
        moments = (self.start + timedelta(seconds=seconds) for seconds in (start_s, start_s + wall_s))
        started, ended = (moment.isoformat(" ", "microseconds") for moment in moments)
        return started, ended


def generate_study(folder: Path, trials: int, *, seed: int = 0, running: int = 0) -> Path:
    """Write a study of `trials` trials, the last `running` of which run, to the new folder `folder`."""
    folder.mkdir(parents=True)
    space = _create(folder)
    generator = TrialGenerator(space, seed)
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        for rows in _batches(generator, trials, running):
            rows.write(connection)
    return folder


def append_trials(folder: Path, trials: int, *, seed: int = 1) -> None:
    """Append `trials` finished trials to the study in `folder`, in one transaction."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        first, end = connection.execute("SELECT COUNT(*), MAX(datetime_complete) FROM trials").fetchone()
        generator = TrialGenerator(SearchSpace.from_file(SPACE), seed, datetime.fromisoformat(end) if end else START)
        rows = Rows()
        for number in range(first, first + trials):
            generator.add(number, rows)
        rows.write(connection)


def _batches(generator: TrialGenerator, trials: int, running: int) -> Iterator[Rows]:
    for first in range(0, trials, BATCH_TRIALS):
        rows = Rows()
        for number in range(first, min(first + BATCH_TRIALS, trials)):
            generator.add(number, rows, is_running=number >= trials - running)
        yield rows


def _create(folder: Path) -> SearchSpace:
    """Create a study without trials in `folder`; returns its space."""
    config = StudyConfig.from_file(SPACE, "data.path=PHOTOS", f"train.epochs={EPOCHS}")
    space = SearchSpace.from_file(SPACE)
    chosen = [objectives.get(name) for name in config.objectives]
    counts = {"train": 8000, "val": 1000, "test": 1000}
    dataset = {
        "name": "photos",
        "fingerprint": "0123456789abcdef",
        "image_size": [32, 32],
        "in_chans": 3,
        "num_classes": 10,
        "class_names": [f"class {index}" for index in range(10)],
        "class_counts": {part: [count // 10] * 10 for part, count in counts.items()},
        **counts,
    }
    attributes = {
        "objectives": [objective.to_dict() for objective in chosen],
        "config": config.model_dump(mode="json"),
        "space_size": str(space.size),
        "dataset": dataset,
    }
    directions = [objective.direction for objective in chosen]
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / DATABASE}")
    study = optuna.create_study(study_name=config.name, storage=storage, directions=directions)
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    set_metric_names(study, config.objectives)
    (folder / CONFIG).write_text(SPACE.read_text())
    storage.remove_session()
    storage.engine.dispose()
    return space


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the study, which must not exist")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--running", type=int, default=0, help="the number of trials that run")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(generate_study(args.out, args.trials, seed=args.seed, running=args.running))


if __name__ == "__main__":
    main()
