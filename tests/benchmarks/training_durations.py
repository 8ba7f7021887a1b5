"""How well the time of a training is known before: by operator times, MACs, activations, and by what joins them.

    python tests/benchmarks/training_durations.py digits cifar10 folder --image-size 32 [--networks 24] [--device cuda]

For each study: random architectures of its space, and the four with the most MACs of 300. Each trains for some epochs on random
images; its duration is the median of an epoch. A predictor is compared with the durations up to a factor: `error` is the
deviation of the logarithm of the ratio, `r` the correlation of the logarithms, `largest` the predicted ratio of the architecture
with the longest training to the median, over the true one.

    ops     a pass by the operator table (`OperatorTable.seconds`)
    macs    MACs, plus those of the median architecture
    act     bytes that autograd saves, plus those of the median architecture
    x * y   the geometric mean
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch
from training import epoch_turn

from nas.bench.busy_device import create_operator_table, random_images
from nas.bench.throughput_plan import ThroughputPlan, sample_architectures
from nas.objectives.costs import cost_value
from nas.study.config import StudyConfig
from nas.study.study_sampler import DURATION_COSTS, duration_by_costs
from nas.study.templates import find_study
from search_space import Architecture, SearchSpace, build
from trainers.training.config import TrainConfig
from trainers.training.loop import ProxyTraining

PROBES = 300
LARGEST = 4


def chosen(space: SearchSpace, count: int, seed: int) -> list[Architecture]:
    """Random architectures and the largest of more."""
    probes = sample_architectures(space, min(PROBES, int(space.size)), seed)
    by_macs = sorted(probes, key=lambda one: cost_value("macs", one))
    few = by_macs[-LARGEST:]
    return [one for one in probes if one not in few][: max(0, count - LARGEST)] + few


def epoch_s(architecture: Architecture, batch_size: int, device: str, rounds: int, seed: int) -> float:
    """The median seconds of an epoch, after one that does not count."""
    images = random_images(architecture.in_chans, architecture.image_size, architecture.num_classes, seed).to(device)
    config = TrainConfig(epochs=10_000, batch_size=batch_size, validate_every=10_000)
    turn = epoch_turn(ProxyTraining(build(architecture), images, config, seed=seed))
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        turn()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def predictors(space: SearchSpace, plan: ThroughputPlan) -> dict[str, Callable[[Architecture], float]]:
    """The single ones by name, and then the geometric means of two."""
    table = create_operator_table(space, plan)
    assert table is not None
    macs, activations = (duration_by_costs(space, [name]) for name in DURATION_COSTS)
    single = {"ops": table.seconds, "macs": macs, "act": activations}
    joined = {
        f"{one} * {other}": lambda a, f=f, g=g: math.sqrt(f(a) * g(a))
        for (one, f), (other, g) in combinations(single.items(), 2)
    }
    return single | joined


def main() -> None:
    """Print a table for each study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", help="files, or installed ones")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    plan = ThroughputPlan(device=arguments.device, seed=arguments.seed)
    for study in arguments.studies:
        side = arguments.image_size
        space = StudyConfig.from_file(find_study(study)).space_on((side, side), arguments.channels, 10)
        by_name = predictors(space, plan)
        architectures = chosen(space, arguments.networks, arguments.seed)
        torch.set_num_threads(1)
        rule = (arguments.batch_size, arguments.device, arguments.rounds, arguments.seed)
        true = np.log([epoch_s(one, *rule) for one in architectures])
        true -= np.median(true)
        longest = int(true.argmax())
        macs = np.array([cost_value("macs", one) for one in architectures])
        about = {
            "study": study,
            "longest / median": round(float(np.exp(true[longest])), 1),
            "its MACs / median": round(float(macs[longest] / np.median(macs)), 1),
        }
        rows = {}
        for name, predict in by_name.items():
            predicted = np.log([predict(one) for one in architectures])
            predicted -= np.median(predicted)
            rows[name] = {
                "error": round(float(np.std(predicted - true)), 3),
                "r": round(float(np.corrcoef(predicted, true)[0, 1]), 3),
                "largest": round(float(np.exp(predicted[longest] - true[longest])), 2),
            }
        if arguments.json:
            print(json.dumps(about | {"predictors": rows}), flush=True)
            continue
        print("  ".join(f"{key} {value}" for key, value in about.items()))
        for name, row in rows.items():
            print(f"  {name:<12}" + "  ".join(f"{key} {value:>7}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
