"""What `throughput.measure: front` saves, and how good the values are that it does not measure.

    python tests/benchmarks/front_measuring.py --out runs/measuring --seeds 3       # searches digits with both values of the key
    python tests/benchmarks/front_measuring.py --replay runs/digits                 # decides again on a study that measured all

The searches of a seed have the same configuration but for the key. Afterwards the trials that were not measured are measured, one
after another with nothing else of ours running, and compared with their predictions. The hypervolumes of (accuracy, MACs,
throughput) are those of measured values alone, in one box for both searches. A replay tells the decision the trials of a finished
study in the order in which they ended: what would have been measured, and whether the front would have been the same.

With `scheduler.name=halving`, trials that stop at a rung count in all but the hypervolume. Training share: seconds of training
steps / (workers x seconds from the first start to the last end).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optuna.trial import TrialState

from nas import objectives
from nas.analysis.front import Bounds, front_mask, hypervolume
from nas.driver.front_measuring import FrontMeasuring
from nas.evaluation.measurer import Measurer
from nas.evaluation.networks import initial_network
from nas.evaluation.settings import MeasuringSettings
from nas.study.layout import OPERATORS, REFERENCE
from nas.study.operator_table import read_tables
from nas.study.outcomes.predicted_values import predictions_of
from nas.study.stored import StoredStudy
from nas.study.trials import AnyTrial
from search_space import Architecture
from trainers.device_lock import DeviceLock

STUDY = Path(__file__).parents[2] / "studies/digits.yaml"
NAMES = ("accuracy", "macs", "images_per_s")
OBJECTIVES = tuple(objectives.get(name) for name in NAMES)
THROUGHPUT = NAMES.index("images_per_s")
WORKERS = 2


@dataclass(frozen=True)
class Predictions:
    """How good predicted values are.

    Args:
        trials: number of trials that were not measured.
        median_error, largest_error: relative, of the values.
        within: share of measured values within the intervals.
    """

    trials: int
    median_error: float | None
    largest_error: float | None
    within: float | None

    @classmethod
    def of(cls, predicted: Sequence[Sequence[float]], measured: Sequence[float]) -> Predictions:
        """Those of `[value, low, high]` each, against what was measured."""
        if not len(predicted):
            return cls(0, None, None, None)
        value, low, high = np.array(predicted, np.float64).T
        actual = np.array(measured)
        errors, within = np.abs(value / actual - 1), (low <= actual) & (actual <= high)
        return cls(len(value), float(np.median(errors)), float(errors.max()), float(within.mean()))


def search(folder: Path, measure: str, seed: int, overrides: Sequence[str]) -> None:
    """Run or resume the study in `folder`."""
    words = [f"throughput.measure={measure}", f"seed={seed}", f"resources.workers={WORKERS}", *overrides]
    command = [sys.executable, "-m", "nas", "search", str(STUDY), "--out", str(folder), "resources.executor=local"]
    subprocess.run([*command, *words], check=True, stdout=subprocess.DEVNULL)


def trained_trials(folder: Path) -> list[AnyTrial]:
    """The trials of a study that were trained, to the end or to a rung."""
    return [trial for trial in StoredStudy.open(folder).trials if "train_s" in trial.user_attrs]


def complete_trials(folder: Path) -> list[AnyTrial]:
    """The complete trials of a study in the order in which they ended."""
    complete = [trial for trial in trained_trials(folder) if trial.state == TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: trial.datetime_complete or 0)  # type: ignore[arg-type, return-value]


def measure_again(folder: Path, trials: Sequence[AnyTrial]) -> list[float]:
    """The throughput of the networks of `trials`, measured now as in their search."""
    torch.set_num_threads(1)  # as its workers
    settings = MeasuringSettings(("images_per_s",), reference_file=folder.resolve() / REFERENCE)
    measurer, values = Measurer(settings, "cpu", DeviceLock("cpu")), []
    for trial in trials:
        architecture = Architecture.from_dict(trial.user_attrs["architecture"])
        network = initial_network(architecture, trial.user_attrs["seed"])
        measured = measurer.measure(network, (architecture.in_chans, *architecture.image_size))
        values.append(measured.values["images_per_s"])
    return values


def read_search(folder: Path) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """The figures of a search, and the values of its trials, all of them measured."""
    trials = complete_trials(folder)
    values = np.array([trial.values for trial in trials], np.float64)
    guessed = [i for i, trial in enumerate(trials) if predictions_of(trial.user_attrs)]
    measured = measure_again(folder, [trials[i] for i in guessed])
    intervals = [predictions_of(trials[i].user_attrs)["images_per_s"].to_list() for i in guessed]
    values[guessed, THROUGHPUT] = measured
    trained = trained_trials(folder)
    start = min(trial.datetime_start for trial in trained if trial.datetime_start)
    end = max(trial.datetime_complete for trial in trained if trial.datetime_complete)
    total_s = (end - start).total_seconds()
    segments = [segment for trial in trained for segment in trial.user_attrs.get("segments") or ()]
    figures = {
        "trials": len(trained),
        "complete": len(trials),
        "measured_share": sum("images_per_s" in trial.user_attrs for trial in trained) / len(trained),
        "total_s": total_s,
        "training_share": sum(trial.user_attrs["train_s"] for trial in trained) / (WORKERS * total_s),
        "measuring_share": sum(segment.get("measure_s") or 0.0 for segment in segments) / (WORKERS * total_s),
        "seconds_per_trial": WORKERS * total_s / len(trained),
        "predictions": asdict(Predictions.of(intervals, measured)),
    }
    return figures, values


def compare(out: Path, seed: int, overrides: Sequence[str]) -> dict[str, Any]:
    """The figures of one seed."""
    arms = ("all", "front") if seed % 2 == 0 else ("front", "all")  # a machine's load changes with time
    folders = {arm: out / f"{arm}-{seed}" for arm in arms}
    for arm in arms:
        search(folders[arm], arm, seed, overrides)
    read = {arm: read_search(folders[arm]) for arm in arms}
    bounds = Bounds.of(np.concatenate([values for _, values in read.values()]), OBJECTIVES)
    volumes = {arm: hypervolume(values, OBJECTIVES, bounds) for arm, (_, values) in read.items()}
    return {arm: {**figures, "hypervolume": volumes[arm]} for arm, (figures, _) in read.items()}


def replay(folder: Path) -> dict[str, Any]:
    """What the decision would have been on a study that has measured every trial."""
    trials, tables = complete_trials(folder), read_tables(folder / OPERATORS)
    deciding = FrontMeasuring(OBJECTIVES, ("images_per_s",), {}, tables)
    values = np.array([trial.values for trial in trials], np.float64)
    recorded, intervals, guessed = values.copy(), [], []
    for i, trial in enumerate(trials):
        known = {name: trial.user_attrs[name] for name in ("macs", "params", "activation_bytes")}
        known |= deciding.attributes_of(Architecture.from_dict(trial.user_attrs["architecture"]))
        predicted = deciding.predict_instead(known, {"accuracy": values[i, 0]}, is_complete=True)
        if predicted is None:
            deciding.learn(i, {**known, "images_per_s": values[i, THROUGHPUT]}, values[i].tolist())
            continue
        guessed.append(i)
        intervals.append(predicted["images_per_s"].to_list())
        recorded[i, THROUGHPUT] = intervals[-1][0]
    directions = [objective.direction for objective in OBJECTIVES]
    front, recorded_front = front_mask(values, directions), front_mask(recorded, directions)
    return {
        "trials": len(trials),
        "measured_share": 1 - len(guessed) / len(trials),
        "predictions": asdict(Predictions.of(intervals, values[guessed, THROUGHPUT].tolist())),
        "front": int(front.sum()),
        "missing_of_the_front": int((front & ~recorded_front).sum()),
        "unmeasured_on_the_front": int(recorded_front[guessed].sum()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/measuring"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--replay", type=Path, nargs="+", default=[], metavar="STUDY")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("overrides", nargs="*", help="of the study: trials=48 train.epochs=20")
    arguments = parser.parse_args()
    if arguments.replay:
        results = {str(folder): replay(folder) for folder in arguments.replay}
    else:
        seeds = range(arguments.seeds)
        results = {f"seed {seed}": compare(arguments.out, seed, arguments.overrides) for seed in seeds}
    for name, figures in results.items():
        print(name, json.dumps(figures, indent=None if arguments.json else 2))


if __name__ == "__main__":
    main()
