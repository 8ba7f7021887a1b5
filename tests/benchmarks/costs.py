"""Seconds for the costs of many random architectures from their descriptions, beside fvcore's counted forward passes.

    python tests/benchmarks/costs.py [--architectures 10000] [--counted 20] [--repeats 5]

Prints medians over repeats; one thread. Every architecture is priced once, none is seen before its turn.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings

import numpy as np
import torch
from fvcore.nn import FlopCountAnalysis

from search_space import SearchSpace, build, cost

SPACE = {
    "image_size": 224,
    "num_classes": 1000,
    "num_stages": [3, 4],
    "stem": {"patch": [4, 8], "kernel": [None, 9]},
    "stages": [
        {
            "mixer": {
                "conv": {"k": [3, 5, 7, 9]},
                "lambda": {"heads": 4, "k": [8, 16], "context": [7, 15]},
                "afno": {"num_blocks": [4, 8]},
                "attention": {"heads": [2, 4], "kv_reduction": [1, 2]},
                "global_filter": None,
                "shift": None,
                "pool": None,
            },
            "channel_mixer": {"mlp": {"expansion": [2, 3, 4], "groups": "full"}},
            "depth": [1, 2, 3, 4],
            "width": [32 * factor, 48 * factor, 64 * factor],
            "residual": ["pre_norm", "single"],
        }
        for factor in (1, 2, 4, 8)
    ],
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", type=int, default=10_000)
    parser.add_argument("--counted", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    space = SearchSpace.from_dict(SPACE)
    print(f"space of {space.size:.3e} architectures")
    ours, sampling = [], []
    for repeat in range(arguments.repeats):
        rng = np.random.default_rng(repeat)
        start = time.perf_counter()
        sampled = [space.sample(rng) for _ in range(arguments.architectures)]
        sampling.append((time.perf_counter() - start) / len(sampled))
        start = time.perf_counter()
        for architecture in sampled:
            cost(architecture)
        ours.append((time.perf_counter() - start) / len(sampled))
    counted = []
    for architecture in sampled[: arguments.counted]:
        network = build(architecture).eval()
        image = torch.zeros(1, 3, 224, 224)
        start = time.perf_counter()
        FlopCountAnalysis(network, image).unsupported_ops_warnings(False).total()
        counted.append(time.perf_counter() - start)
    mine, theirs = statistics.median(ours), statistics.median(counted)
    print(f"sampling   {1e6 * statistics.median(sampling):8.1f} us an architecture")
    print(
        f"cost       {1e6 * mine:8.1f} us an architecture; {arguments.architectures} in {arguments.architectures * mine:.2f} s"
    )
    print(f"fvcore     {1e3 * theirs:8.1f} ms an architecture, the network built already")
    print(f"ratio      {theirs / mine:8.0f} x")


if __name__ == "__main__":
    main()
