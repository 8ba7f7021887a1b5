"""Speed of each mixer against its straightforward reference form, in one run.

    python tests/benchmarks/mixers.py [--batch 16] [--width 128] [--sizes 14 28] [--rounds 15] [--only NAME ...]

One thread. For each row ours and the reference take turns, so that a drift of the machine meets both; CPU time; the
median over rounds of the ratio reference / ours (above 1: ours is faster), with its quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
import reference_layers as reference

from search_space import mixers

Build = Callable[[int, tuple[int, int]], nn.Module]
WIDTH = 128
ROWS: dict[str, tuple[tuple[str, dict[str, object]], Build]] = {
    "conv k7 depthwise": (("conv", {"k": 7}), lambda w, s: reference.Conv(w, s, 7)),
    "conv k9 depthwise": (("conv", {"k": 9}), lambda w, s: reference.Conv(w, s, 9)),
    "attention": (("attention", {"heads": 4}), reference.Attention),
    "lambda r7": (("lambda", {"context": 7}), lambda w, s: reference.Lambda(w, s, 7)),
    "lambda r23": (("lambda", {"context": 23}), lambda w, s: reference.Lambda(w, s, 23)),
    "lambda global": (("lambda", {"context": "global"}), lambda w, s: reference.Lambda(w, s, None)),
    "global_filter": (("global_filter", {}), reference.GlobalFilter),
    "afno": (("afno", {"num_blocks": 8}), reference.AFNO),
    "shift shiftvit": (("shift", {"kind": "shiftvit"}), reference.ZeroShift),
    "shift s2": (("shift", {"kind": "s2"}), reference.ClampedShift),
    "pool": (("pool", {}), reference.Pool),
}


def seconds(module: nn.Module, images: torch.Tensor, backward: bool) -> float:
    """CPU seconds of one pass."""
    start = time.process_time()
    if backward:
        module(images).sum().backward()
    else:
        with torch.inference_mode():
            module(images)
    return time.process_time() - start


def ratios(ours: nn.Module, theirs: nn.Module, images: torch.Tensor, backward: bool, rounds: int) -> list[float]:
    """Reference over ours, round by round, the order changing."""
    for module in (ours, theirs):
        seconds(module, images, backward)
    found = []
    for turn in range(rounds):
        pair = [ours, theirs] if turn % 2 else [theirs, ours]
        times = {id(module): seconds(module, images, backward) for module in pair}
        found.append(times[id(theirs)] / times[id(ours)])
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--sizes", type=int, nargs="+", default=[14, 28])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="+", help="rows whose name contains one of these")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'mixer':<20}{'map':>7}{'pass':>18}{'reference / ours':>20}{'quartiles':>16}")
    for name, ((mixer, options), build) in ROWS.items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        for side in arguments.sizes:
            size = (side, side)
            ours = mixers.create(mixer, width=arguments.width, size=size, **options)
            theirs = build(arguments.width, size)
            for backward in (False, True):
                images = torch.randn(arguments.batch, arguments.width, side, side, requires_grad=backward)
                low, middle, high = statistics.quantiles(ratios(ours, theirs, images, backward, arguments.rounds), n=4)
                which = "forward+backward" if backward else "forward"
                print(f"{name:<20}{side:>4}x{side:<3}{which:>17}{middle:>18.2f} x{low:>9.2f}-{high:.2f}", flush=True)


if __name__ == "__main__":
    main()
