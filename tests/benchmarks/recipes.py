"""What augmentation does to short trainings: validation accuracy of the same networks by policy and number of epochs.

    python tests/benchmarks/recipes.py --data CIFAR10_FOLDER --out runs/recipes

Random architectures of `studies/cifar10.yaml` between two costs, each trained with each policy from the same initial weights,
one thread each. Prints the mean accuracy, and with `--json` all of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from halving import STUDY, words_of

from nas.driver.run import space_on
from nas.evaluation.evaluator import initial
from nas.study import config as configs
from search_space import Architecture, SearchSpace, cost
from trainers.data.dataset import load
from trainers.data.prepared import describe, prepare
from trainers.training.config import TrainConfig
from trainers.training.loop import train


def sampled(space: SearchSpace, count: int, least: float, most: float) -> list[Architecture]:
    """`count` random architectures of `least` to `most` MACs."""
    rng = np.random.default_rng(0)
    found: dict[str, Architecture] = {}
    while len(found) < count:
        architecture = space.sample(rng)
        if least <= cost(architecture).macs <= most:
            found[architecture.id] = architecture
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="images in a folder for each class")
    parser.add_argument("--out", type=Path, required=True, help="where the decoded images are kept")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, nargs="+", default=[2, 6])
    parser.add_argument("--policies", nargs="+", default=["none", "flip", "shift", "standard", "strong"])
    parser.add_argument("--sample", type=int, default=4, help="architectures")
    parser.add_argument("--macs", type=float, nargs=2, default=[1e5, 6e5], help="between which they are")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    config, source = configs.load(STUDY, words_of(given.data, given.images, 1))
    file = prepare(config.data, given.out)
    data = load(file)
    architectures = sampled(space_on(config, source, describe(file)), given.sample, *given.macs)
    rows = []
    for epochs in given.epochs:
        for policy in given.policies:
            recipe = TrainConfig.model_validate(config.train.model_dump() | {"epochs": epochs, "augment": policy})
            trained = [train(initial(one, 1), data, recipe, seed=1) for one in architectures]
            accuracies = [epochs_of[-1].val_accuracy for epochs_of in trained]
            rows.append({"epochs": epochs, "augment": policy, "accuracies": accuracies})
            if not given.json:
                print(f"{epochs:4d} epochs, {policy:9s} {mean(a or 0.0 for a in accuracies):.4f}", flush=True)
    if given.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
