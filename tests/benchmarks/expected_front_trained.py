"""Which front of a finished study is better when its networks are trained again: that of single results, or the expected one.

    python tests/benchmarks/expected_front_trained.py STUDY_FOLDER... --repeats 4

Each network on either front is trained again with other seeds, as long as in the search. Then both fronts are compared by the
mean accuracy of these trainings; other objectives keep the values of the study. Prints the number of networks on each front, the
hypervolume that their results promised, and that by the means, with its standard error over the repeated trainings.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.analysis.expected_front import with_expected_front
from nas.analysis.front import Bounds, hypervolume
from nas.analysis.results import Results
from nas.evaluation.networks import initial_network
from nas.study.config import StudyConfig
from nas.study.content import StudySnapshot
from nas.study.layout import CONFIG
from search_space import Architecture
from trainers import Dataset, load, train
from trainers.training.config import TrainConfig


def accuracies(architecture: Any, data: Dataset, config: TrainConfig, repeats: int) -> list[float]:
    """The validation accuracy of each of `repeats` trainings of `architecture`."""
    values = []
    for seed in range(1_000, 1_000 + repeats):
        network = initial_network(Architecture.from_dict(architecture), seed)
        values.append(train(network, data, config, seed=seed)[-1].val_accuracy or 0.0)
    return values


def compare(folder: Path, repeats: int) -> None:
    """Train the networks of both fronts of the study in `folder` again, and print how good the fronts are."""
    results, study = Results.load(folder), StudySnapshot.of(folder)
    config, data = StudyConfig.from_file(folder / CONFIG).train.proxy, load(study.images())
    fronts = {"results": results.front, "expected": with_expected_front(results).front}
    rows = {row["trial"]: row for front in fronts.values() for row in front.to_dict("records")}
    trained = {number: accuracies(row["architecture"], data, config, repeats) for number, row in rows.items()}
    names = [objective.name for objective in results.objectives]
    column = names.index(results.primary.name)
    bounds = Bounds.of(results.complete[names].to_numpy(dtype=np.float64), results.objectives)

    def volume(front: Any, repeat: slice) -> float:
        values = front[names].to_numpy(dtype=np.float64, copy=True)
        values[:, column] = [np.mean(trained[number][repeat]) for number in front["trial"]]
        return hypervolume(values, results.objectives, bounds)

    for name, front in fronts.items():
        promised = hypervolume(front[names].to_numpy(dtype=np.float64), results.objectives, bounds)
        print(f"{folder.name} {name:9s} {len(front):3d} networks, promised {promised:.4f}, ", end="")
        print(f"by {repeats} trainings {volume(front, slice(None)):.4f}", flush=True)
    halves = [[volume(front, slice(r, r + 1)) for r in range(repeats)] for front in fronts.values()]
    difference = np.subtract(halves[1], halves[0])
    error = difference.std(ddof=1) / np.sqrt(repeats)
    print(f"{folder.name} expected - results, by single repeats: {difference.mean():+.4f} ± {error:.4f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", type=Path, help="folders of finished studies of accuracy")
    parser.add_argument("--repeats", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for folder in args.studies:
        compare(folder, args.repeats)


if __name__ == "__main__":
    main()
