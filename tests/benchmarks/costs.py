"""Seconds for the costs of many random architectures from their descriptions, beside fvcore's counted forward passes.

    python tests/benchmarks/costs.py [--architectures 10000] [--counted 20] [--repeats 5]

Prints medians over repeats; one thread. The costs of every architecture are computed once, so that no cache helps.
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
    parser.add_argument("--architectures", type=int, default=10_000, help="number of random architectures")
    parser.add_argument("--counted", type=int, default=20, help="of these, the ones that fvcore counts")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    space = SearchSpace.from_dict(SPACE)
    print(f"space of {space.size:.3e} architectures")
    cost_s, sampling_s = [], []
    for repeat in range(arguments.repeats):
        rng = np.random.default_rng(repeat)
        start = time.perf_counter()
        sampled = [space.sample(rng) for _ in range(arguments.architectures)]
        sampling_s.append((time.perf_counter() - start) / len(sampled))
        start = time.perf_counter()
        for architecture in sampled:
            cost(architecture)
        cost_s.append((time.perf_counter() - start) / len(sampled))
    counted_s = []
    for architecture in sampled[: arguments.counted]:
        network = build(architecture).eval()
        image = torch.zeros(1, 3, 224, 224)
        start = time.perf_counter()
        FlopCountAnalysis(network, image).unsupported_ops_warnings(False).total()
        counted_s.append(time.perf_counter() - start)
    ours, fvcore = statistics.median(cost_s), statistics.median(counted_s)
    print(f"sampling   {1e6 * statistics.median(sampling_s):8.1f} us an architecture")
    number = arguments.architectures
    print(f"cost       {1e6 * ours:8.1f} us an architecture; {number} in {number * ours:.2f} s")
    print(f"fvcore     {1e3 * fvcore:8.1f} ms an architecture, without building the network")
    print(f"ratio      {fvcore / ours:8.0f} x")


if __name__ == "__main__":
    main()
