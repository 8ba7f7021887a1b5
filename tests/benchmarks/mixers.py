"""Speed of each mixer against a straightforward reference implementation (timm's own layer where it has one), in one run.

    python tests/benchmarks/mixers.py [--only WORD ...] [--sizes 14 28] [--passes forward training] [--json]

A row is a mixer with options, a map size and a pass: the forward pass of inference, or forward and backward of a training
step. Both implementations get the same weights and must give the same numbers before they are timed. One thread; they take
turns in samples of a few milliseconds, so that a drift of the machine affects both; CPU time of the process (on a GPU, time
between events on its stream). The ratio is reference / ours of neighbouring samples (above 1: ours is faster): its median
and quartiles. Freed memory stays with the process: returning and requesting pages in every pass costs as much as some
layers. `kept` is what the forward pass of training saves for the backward pass, in MiB, without parameters.

`--device cuda` runs under bf16 autocast and shows the peak memory of each implementation too.
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
import reference_layers as plain_layers
import reference_timm as timm_layers

from search_space import mixers
from search_space.mixers import MIXERS

Build = Callable[[int, tuple[int, int]], nn.Module]
WINDOW: dict[str, object] = {"window": 7}
# Mixer, options, reference. A reference from `timm_layers` is timm's own layer.
ROWS: tuple[tuple[str, dict[str, object], Build], ...] = (
    *(("conv", {"k": k}, partial(plain_layers.NaiveConv, k=k)) for k in (3, 5, 7, 9, 4, 15)),
    ("conv", {"k": 3, "groups": 8, "interlace": True}, partial(plain_layers.NaiveConv, k=3, groups=8, interlace=True)),
    ("conv", {"k": 3, "groups": 1}, partial(plain_layers.NaiveConv, k=3, groups=1)),
    ("separable_conv", {}, timm_layers.separable_conv),
    ("attention", {}, plain_layers.NaiveAttention),
    ("attention", {}, timm_layers.attention),
    ("attention", {"kv_reduction": 2}, timm_layers.reduced_attention),
    ("attention", {"kv_pool": 7}, timm_layers.pooled_attention),
    ("attention", WINDOW, timm_layers.windows),
    ("attention", WINDOW | {"shift": "always"}, partial(timm_layers.windows, shift=3)),
    *(("lambda", {"context": r}, partial(timm_layers.lambdas, context=r)) for r in (7, 23)),
    ("lambda", {"context": "global"}, partial(timm_layers.lambdas, context=None)),
    *(("lambda", {"context": r}, partial(plain_layers.NaiveLambda, context=r)) for r in (7, 23)),
    ("lambda", {"context": "global"}, partial(plain_layers.NaiveLambda, context=None)),
    ("lambda", {"context": 7, "u": 4}, partial(plain_layers.NaiveLambda, context=7, u=4)),
    ("global_filter", {}, plain_layers.NaiveGlobalFilter),
    ("afno", {}, plain_layers.NaiveAFNO),
    ("fno", {}, plain_layers.NaiveFNO),
    ("fno", {"modes": 4}, partial(plain_layers.NaiveFNO, modes=4)),
    ("fnet", {}, plain_layers.NaiveFNet),
    ("shift", {"kind": "shiftvit"}, plain_layers.NaiveZeroShift),
    ("shift", {"kind": "s2"}, plain_layers.NaiveClampedShift),
    ("shift", {"kind": "axial"}, plain_layers.NaiveAxialShift),
    ("pool", {}, timm_layers.pooling),
    ("mlp", {}, timm_layers.token_mlp),
    ("wave", {}, partial(plain_layers.NaiveWave, depthwise=False)),
    ("wave", {"mode": "depthwise"}, partial(plain_layers.NaiveWave, depthwise=True)),
    ("identity", {}, plain_layers.NaiveIdentity),
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


class TimedMixer:
    """An implementation of a mixer, timed in one kind of pass: "forward" or "training"."""

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
        """MiB that a forward pass of training keeps for the backward pass: storages other than the parameters and the input."""
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
        return sum(size for address, size in kept.items() if address not in own) / 2**20

    def peak_mib(self) -> float | None:
        """MiB of GPU memory that one pass allocates beyond what was allocated before it."""
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


def build_pair(
    mixer: str, options: dict[str, object], build: Build, width: int, size: tuple[int, int]
) -> tuple[nn.Module, nn.Module]:
    """Our mixer and the reference, with the same weights."""
    ours, reference = mixers.create(mixer, width=width, size=size, **options), build(width, size)
    shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
    weights = reference.weights() if hasattr(reference, "weights") else reference.state_dict()
    ours.load_state_dict({name: tensor.reshape(shapes[name]) for name, tensor in weights.items()}, strict=True)
    return ours, reference


def check_equal(ours: TimedMixer, reference: TimedMixer, label: str) -> None:
    """End the program unless both implementations give the same numbers."""
    with torch.no_grad(), ours.amp():
        output, expected = (mixer.module(mixer.images).float() for mixer in (ours, reference))
    difference = ((output - expected).abs().max() / expected.abs().max()).item()
    if not difference < (5e-2 if ours.images.is_cuda else 1e-4):
        sys.exit(
            f"{label}: ours and the reference must give the same output, found a relative difference of {difference:.1e}"
        )


def measure(ours: TimedMixer, reference: TimedMixer, budget_s: float, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of a pass, `rounds` samples of each mixer in alternating order, or as many as `budget_s` allows, at least 5."""
    for mixer in (ours, reference):
        mixer.seconds(2)
    passes = max(1, round(0.004 / min(ours.seconds(1), reference.seconds(1))))
    ours_s: list[float] = []
    reference_s: list[float] = []
    start = time.perf_counter()
    while len(ours_s) < rounds and (len(ours_s) < 5 or time.perf_counter() - start < budget_s):
        turns = [(ours, ours_s), (reference, reference_s)]
        for mixer, samples in turns if len(ours_s) % 2 else reversed(turns):
            samples.append(mixer.seconds(passes))
    return ours_s, reference_s


def results(arguments: argparse.Namespace) -> Iterator[Result]:
    """Measure the rows that were asked for."""
    for mixer, options, build in ROWS:
        name = " ".join([mixer, *(f"{key}={value}" for key, value in options.items())])
        factory = build.func if isinstance(build, partial) else build
        source = "timm" if factory.__module__ == timm_layers.__name__ else "as published"
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        for side, direction in ((side, direction) for side in arguments.sizes for direction in arguments.passes):
            torch.manual_seed(0)
            images = torch.randn(arguments.batch, arguments.width, side, side, device=arguments.device)
            if arguments.channels_last:
                images = images.to(memory_format=torch.channels_last)
            modules = build_pair(mixer, options, build, arguments.width, (side, side))
            pair = tuple(TimedMixer(module, images, direction) for module in modules)
            check_equal(*pair, f"{name} {side}x{side}")
            kept = [timed.kept_mib() for timed in pair]
            ours_s, reference_s = measure(*pair, arguments.seconds, arguments.rounds)
            ratios = [reference / ours for ours, reference in zip(ours_s, reference_s, strict=True)]
            low, ratio, high = statistics.quantiles(ratios, n=4)
            times = (1e3 * statistics.median(ours_s), 1e3 * statistics.median(reference_s))
            peaks = [timed.peak_mib() for timed in pair]
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
    parser.add_argument("--rounds", type=int, default=60, help="samples of each implementation")
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="most seconds of a row; at least 5 samples are taken"
    )
    parser.add_argument("--only", nargs="+", metavar="WORD", help="rows whose name contains one of these")
    parser.add_argument("--channels-last", action="store_true", help="the memory layout of the input")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    missing = set(MIXERS) - {mixer for mixer, _, _ in ROWS}
    if missing:
        print(f"mixers without a row: {', '.join(sorted(missing))}", file=sys.stderr)
    if arguments.json:
        print(json.dumps([asdict(result) for result in results(arguments)], indent=1))
        return
    heads = f"{'mixer':<36}{'reference':<14}{'map':^8}{'pass':<9}{'ours ms':>9}{'reference':>11}{'ratio':>10}{'quartiles':>14}"
    print(heads + f"{'kept':>8}{'ref.':>8}" + (f"{'peak MiB':>10}{'ref.':>10}" if arguments.device == "cuda" else ""))
    for result in results(arguments):
        print(line(result), flush=True)


if __name__ == "__main__":
    main()
