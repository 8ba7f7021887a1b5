"""Speed of each mixer against its straightforward reference form (timm's own layer where it has one), in one run.

    python tests/benchmarks/mixers.py [--only WORD ...] [--sizes 14 28] [--passes forward training] [--json]

A row is a mixer with options, a map size and a pass: the forward pass of inference, or forward and backward of a training
step. Both forms get the same weights and must give the same numbers before they are timed. One thread; they take turns in
short samples of a few milliseconds, so that a drift of the machine meets both; CPU time of the process (on a GPU, time
between events on its stream). The ratio is reference / ours of neighbouring samples (above 1: ours is faster): its median
and quartiles. Freed memory stays with the process: returning and requesting pages in every pass costs as much as some
layers. `kept` is what the forward pass of training saves for the backward pass, in MiB, without parameters.

`--device cuda` runs under bf16 autocast and shows each form's peak memory too.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
import reference_layers as naive
import reference_timm as timms

from search_space import mixers
from search_space.mixers import MIXERS

Build = Callable[[int, tuple[int, int]], nn.Module]
WINDOW: dict[str, object] = {"window": 7}
# Mixer, options, reference. A reference from `timms` is timm's own layer.
ROWS: tuple[tuple[str, dict[str, object], Build], ...] = (
    *(("conv", {"k": k}, partial(naive.NaiveConv, k=k)) for k in (3, 5, 7, 9, 4, 15)),
    ("conv", {"k": 3, "groups": 8, "interlace": True}, partial(naive.NaiveConv, k=3, groups=8, interlace=True)),
    ("conv", {"k": 3, "groups": 1}, partial(naive.NaiveConv, k=3, groups=1)),
    ("separable_conv", {}, timms.separable_conv),
    ("attention", {}, naive.NaiveAttention),
    ("attention", {}, timms.attention),
    ("attention", {"kv_reduction": 2}, timms.reduced_attention),
    ("attention", {"kv_pool": 7}, timms.pooled_attention),
    ("attention", WINDOW, timms.windows),
    ("attention", WINDOW | {"shift": "always"}, partial(timms.windows, shift=3)),
    *(("lambda", {"context": r}, partial(timms.lambdas, context=r)) for r in (7, 23)),
    ("lambda", {"context": "global"}, partial(timms.lambdas, context=None)),
    *(("lambda", {"context": r}, partial(naive.NaiveLambda, context=r)) for r in (7, 23)),
    ("lambda", {"context": "global"}, partial(naive.NaiveLambda, context=None)),
    ("lambda", {"context": 7, "u": 4}, partial(naive.NaiveLambda, context=7, u=4)),
    ("global_filter", {}, naive.NaiveGlobalFilter),
    ("afno", {}, naive.NaiveAFNO),
    ("fno", {}, naive.NaiveFNO),
    ("fno", {"modes": 4}, partial(naive.NaiveFNO, modes=4)),
    ("fnet", {}, naive.NaiveFNet),
    ("shift", {"kind": "shiftvit"}, naive.NaiveZeroShift),
    ("shift", {"kind": "s2"}, naive.NaiveClampedShift),
    ("shift", {"kind": "axial"}, naive.NaiveAxialShift),
    ("pool", {}, timms.pooling),
    ("mlp", {}, timms.token_mlp),
    ("wave", {}, partial(naive.NaiveWave, depthwise=False)),
    ("wave", {"mode": "depthwise"}, partial(naive.NaiveWave, depthwise=True)),
    ("identity", {}, naive.NaiveIdentity),
)


@dataclass(frozen=True)
class Result:
    """What was measured of a row; times are medians of one pass, ratios reference / ours."""

    mixer: str
    reference: str
    size: int
    direction: str
    ours_ms: float
    reference_ms: float
    ratio: float
    low: float
    high: float
    samples: int
    ours_kept_mib: float
    reference_kept_mib: float
    ours_peak_mib: float | None = None
    reference_peak_mib: float | None = None


class Subject:
    """A form of a mixer that can be timed in a pass: "forward" or "training"."""

    def __init__(self, module: nn.Module, images: torch.Tensor, direction: str) -> None:
        self.training = direction == "training"
        self.module = module.to(images.device).train(self.training)
        self.images = images.clone(memory_format=torch.preserve_format).requires_grad_(self.training)
        self.gradient = torch.randn(images.shape, device=images.device)

    def amp(self) -> AbstractContextManager[Any]:
        """Mixed precision on a GPU."""
        return torch.autocast("cuda", dtype=torch.bfloat16) if self.images.is_cuda else nullcontext()

    def run(self) -> None:
        """One pass."""
        if not self.training:
            with torch.inference_mode(), self.amp():
                self.module(self.images)
            return
        with self.amp():
            y = self.module(self.images)
        y.backward(self.gradient.to(y.dtype))
        self.images.grad = None
        self.module.zero_grad(set_to_none=True)

    def seconds(self, passes: int) -> float:
        """Seconds of one pass, the mean of a few in sequence."""
        if self.images.is_cuda:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
        else:
            begin = time.process_time()
        for _ in range(passes):
            self.run()
        if self.images.is_cuda:
            end.record()
            end.synchronize()
            return start.elapsed_time(end) / 1e3 / passes
        return (time.process_time() - begin) / passes

    def kept_mib(self) -> float:
        """MiB that a forward pass of training keeps for the backward pass: storages, parameters and input difference."""
        own = {tensor.untyped_storage().data_ptr() for tensor in (*self.module.parameters(), *self.module.buffers())}
        kept: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), self.amp():
            y = self.module(self.images)
        own.add(self.images.untyped_storage().data_ptr())
        del y
        return sum(size for place, size in kept.items() if place not in own) / 2**20

    def peak_mib(self) -> float | None:
        """MiB of GPU memory that one pass takes beyond what stood before it."""
        if not self.images.is_cuda:
            return None
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        self.run()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20


def keep_memory() -> None:
    """Have the C library (glibc) keep freed memory instead of giving its pages back."""
    trim_threshold, mmap_threshold = -1, -3
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(mmap_threshold, 2**30)
        library.mallopt(trim_threshold, 2**31 - 1)


def pair(
    mixer: str, options: dict[str, object], build: Build, width: int, size: tuple[int, int]
) -> tuple[nn.Module, nn.Module]:
    """Ours and the reference, with the same weights."""
    ours, theirs = mixers.create(mixer, width=width, size=size, **options), build(width, size)
    shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
    weights = theirs.weights() if hasattr(theirs, "weights") else theirs.state_dict()
    ours.load_state_dict({name: tensor.reshape(shapes[name]) for name, tensor in weights.items()}, strict=True)
    return ours, theirs


def check(ours: Subject, theirs: Subject, label: str) -> None:
    """Both forms give the same numbers, or the comparison means nothing."""
    with torch.no_grad(), ours.amp():
        mine, reference = ours.module(ours.images).float(), theirs.module(theirs.images).float()
    difference = ((mine - reference).abs().max() / reference.abs().max()).item()
    if not difference < (5e-2 if ours.images.is_cuda else 1e-4):
        sys.exit(f"{label}: ours and the reference differ by {difference:.1e} of the greatest value")


def measure(ours: Subject, theirs: Subject, budget_s: float, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of ours and of the reference, sample by sample, the order changing; `rounds` of them, or what `budget_s` allows."""
    for subject in (ours, theirs):
        subject.seconds(2)
    passes = max(1, round(0.004 / min(ours.seconds(1), theirs.seconds(1))))
    mine: list[float] = []
    reference: list[float] = []
    begin = time.perf_counter()
    while len(mine) < rounds and (len(mine) < 5 or time.perf_counter() - begin < budget_s):
        turns = [(ours, mine), (theirs, reference)]
        for subject, times in turns if len(mine) % 2 else reversed(turns):
            times.append(subject.seconds(passes))
    return mine, reference


def results(arguments: argparse.Namespace) -> Iterator[Result]:
    """Measure the rows that were asked for."""
    for mixer, options, build in ROWS:
        name = " ".join([mixer, *(f"{key}={value}" for key, value in options.items())])
        factory = build.func if isinstance(build, partial) else build
        source = "timm" if factory.__module__ == timms.__name__ else "as published"
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        for side, direction in ((side, direction) for side in arguments.sizes for direction in arguments.passes):
            torch.manual_seed(0)
            images = torch.randn(arguments.batch, arguments.width, side, side, device=arguments.device)
            if arguments.channels_last:
                images = images.to(memory_format=torch.channels_last)
            modules = pair(mixer, options, build, arguments.width, (side, side))
            ours, theirs = (Subject(module, images, direction) for module in modules)
            check(ours, theirs, f"{name} {side}x{side}")
            kept = [subject.kept_mib() for subject in (ours, theirs)]
            mine, reference = measure(ours, theirs, arguments.seconds, arguments.rounds)
            ratios = [slow / fast for fast, slow in zip(mine, reference, strict=True)]
            low, ratio, high = statistics.quantiles(ratios, n=4)
            times = (1e3 * statistics.median(mine), 1e3 * statistics.median(reference))
            peaks = [subject.peak_mib() for subject in (ours, theirs)]
            yield Result(name, source, side, direction, *times, ratio, low, high, len(ratios), *kept, *peaks)


def line(result: Result) -> str:
    """A row of the table."""
    text = (
        f"{result.mixer:<36}{result.reference:<14}{result.size:>3}x{result.size:<4}{result.direction:<9}"
        f"{result.ours_ms:>9.2f}{result.reference_ms:>11.2f}{result.ratio:>8.2f} x{result.low:>7.2f}-{result.high:<6.2f}"
        f"{result.ours_kept_mib:>8.1f}{result.reference_kept_mib:>8.1f}"
    )
    if result.ours_peak_mib is not None and result.reference_peak_mib is not None:
        text += f"{result.ours_peak_mib:>10.1f}{result.reference_peak_mib:>10.1f}"
    return text


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--sizes", type=int, nargs="+", default=[14, 28])
    parser.add_argument("--passes", nargs="+", choices=["forward", "training"], default=["forward", "training"])
    parser.add_argument("--rounds", type=int, default=60, help="samples of each form")
    parser.add_argument("--seconds", type=float, default=4.0, help="for a row, if that ends before the rounds do")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="rows whose name contains one of these")
    parser.add_argument("--channels-last", action="store_true", help="the memory layout of the input")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    missing = set(MIXERS) - {mixer for mixer, _, _ in ROWS}
    if missing:
        print(f"without a row: {', '.join(sorted(missing))}", file=sys.stderr)
    if arguments.json:
        print(json.dumps([asdict(result) for result in results(arguments)], indent=1))
        return
    heads = f"{'mixer':<36}{'reference':<14}{'map':^8}{'pass':<9}{'ours ms':>9}{'reference':>11}{'ratio':>10}{'quartiles':>14}"
    print(heads + f"{'kept':>8}{'ref.':>8}" + (f"{'peak MiB':>10}{'ref.':>10}" if arguments.device == "cuda" else ""))
    for result in results(arguments):
        print(line(result), flush=True)


if __name__ == "__main__":
    main()
