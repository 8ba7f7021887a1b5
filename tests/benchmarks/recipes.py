"""Augmentation in short trainings: validation accuracy of the same networks by policy and number of epochs.

    python tests/benchmarks/recipes.py --data CIFAR10_FOLDER --out runs/recipes

Random architectures of `studies/cifar10.yaml` within a range of MACs, each trained with each policy from the same initial
weights, with one thread. Prints the mean accuracy; with `--json` all accuracies.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from halving import STUDY, overrides_of

from nas.evaluation.networks import initial_network
from nas.study.config import StudyConfig
from search_space import Architecture, SearchSpace, cost
from trainers.data.dataset import load
from trainers.data.description import describe
from trainers.data.prepared import prepare
from trainers.training.config import TrainConfig
from trainers.training.loop import train


def sample(space: SearchSpace, count: int, min_macs: float, max_macs: float) -> list[Architecture]:
    """`count` different random architectures of `min_macs` to `max_macs` MACs."""
    rng = np.random.default_rng(0)
    architectures: dict[str, Architecture] = {}
    while len(architectures) < count:
        architecture = space.sample(rng)
        if min_macs <= cost(architecture).macs <= max_macs:
            architectures[architecture.id] = architecture
    return list(architectures.values())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of images for each class")
    parser.add_argument("--out", type=Path, required=True, help="folder of the decoded images")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, nargs="+", default=[2, 6])
    parser.add_argument("--policies", nargs="+", default=["none", "flip", "shift", "standard", "strong"])
    parser.add_argument("--sample", type=int, default=4, help="number of architectures")
    parser.add_argument("--macs", type=float, nargs=2, default=[1e5, 6e5], help="range of their MACs")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = StudyConfig.from_file(STUDY, *overrides_of(arguments.data, arguments.images, 1))
    file = prepare(config.data, arguments.out)
    data, info = load(file), describe(file)
    space = config.space_on(info.image_size, info.in_chans, info.num_classes)
    architectures = sample(space, arguments.sample, *arguments.macs)
    rows = []
    for epochs in arguments.epochs:
        for policy in arguments.policies:
            recipe = TrainConfig.model_validate(config.train.model_dump() | {"epochs": epochs, "augment": policy})
            histories = [
                train(initial_network(architecture, 1), data, recipe, seed=1) for architecture in architectures
            ]
            accuracies = [history[-1].val_accuracy for history in histories]
            rows.append({"epochs": epochs, "augment": policy, "accuracies": accuracies})
            if not arguments.json:
                print(
                    f"{epochs:4d} epochs, {policy:9s} {mean(accuracy or 0.0 for accuracy in accuracies):.4f}",
                    flush=True,
                )
    if arguments.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
