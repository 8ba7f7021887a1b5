"""Images a second of the training loop, of a plain timm loop and of the bare training step; and of variants of that step.

    python tests/benchmarks/training.py --data CIFAR10_FOLDER [--images 1920] [--workers 1 2] [--rounds 5] [--only WORD ...]
    python tests/benchmarks/training.py --data CIFAR10_FOLDER --limits [...] [--json]

CIFAR10_FOLDER has a folder `train` with one folder of images for each class. The first command compares, for each network,

    ours    an epoch of `ProxyTraining`: crop, mirror, cutout (or another `--augment`), AdamW, clipped gradients; ten images
            are validated
    step    forward, backward and optimizer on one fixed batch in memory: the upper limit of a loop
    timm    `create_dataset`, `create_loader` with its own transforms, `create_optimizer_v2("adamw")`; no loader process
    timm+1  the same with one loader process beside each training

with 1 and with 2 trainings at a time, one thread each. `--limits` compares variants of the bare step: memory layout, optimizer,
precision, batch size, compilation (`torch.compile`; `first s` is the time of the first turn), and whether the C library keeps
freed memory (set by environment variables, so in another process).

Each contender is a process of its own that waits for its turn. The turns of a round follow each other, in alternating order,
so that a drift of the machine affects all of them. Ratios are taken within a round; their median is shown. There are two
figures: by wall clock, and by processor time (including loader processes), which other work on the machine hardly affects.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.training.resumable import ResumableTraining

CLASSES = 10
BATCH = 64
KEEP_FREED_MEMORY = {  # glibc: return no page to the system
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
Turn = Callable[[], int]  # trains on some images and returns their number


def isotropic(mixer: object, width: int, depth: int, patch: int = 4, norm: str = "batch") -> dict[str, Any]:
    """The description of a network of one stage for 32 x 32 pixels."""
    stage = {"mixer": mixer, "width": width, "depth": depth, "norm": norm}
    return {"stem": {"patch": patch}, "stages": [stage], "image_size": 32, "num_classes": CLASSES}


def networks() -> dict[str, dict[str, Any]]:
    """The networks by name, as JSON: a small one, one of middle size with attention, and one of each mixer family."""
    from search_space import presets
    from search_space.mixers import MIXERS

    small = presets.convmixer(64, 4, k=5, patch=4, image_size=32, num_classes=CLASSES).to_dict()
    middle = isotropic({"name": "conv", "k": 5}, 48, 2)
    second_stage = {
        "mixer": {"name": "attention", "heads": 4},
        "width": 96,
        "depth": 2,
        "norm": "batch",
        "downsample": 2,
    }
    middle["stages"].append(second_stage)
    described = {"convmixer-64/4": small, "conv+attention": middle}
    return described | {name: isotropic(name, 32, 2) for name in sorted(MIXERS)}


@dataclass(frozen=True)
class StepVariant:
    """A variant of the bare step; the defaults are those of our training."""

    channels_last: bool = True
    fused: bool = True
    bf16: bool = False
    compiled: bool = False
    batch: int = BATCH


VARIANTS: dict[str, tuple[StepVariant, dict[str, str]]] = {
    "step": (StepVariant(), KEEP_FREED_MEMORY),
    "channels first": (StepVariant(channels_last=False), KEEP_FREED_MEMORY),
    "foreach AdamW": (StepVariant(fused=False), KEEP_FREED_MEMORY),
    "bf16 autocast": (StepVariant(bf16=True), KEEP_FREED_MEMORY),
    "compiled": (StepVariant(compiled=True), KEEP_FREED_MEMORY),
    "batch 128": (StepVariant(batch=128), KEEP_FREED_MEMORY),
    "batch 256": (StepVariant(batch=256), KEEP_FREED_MEMORY),
    "pages returned": (StepVariant(), {}),
    "pages returned, channels first": (StepVariant(channels_last=False), {}),
}
LOOPS = ("ours", "step", "timm", "timm+1")


# In the process of a contender.


def build_network(description: dict[str, Any]) -> Any:
    """The network with the same initial weights in every contender."""
    import torch

    from search_space import Architecture, build

    torch.manual_seed(0)
    return build(Architecture.from_dict(description))


def epoch_turn(training: ResumableTraining) -> Turn:
    """An epoch of `training` a turn."""
    epochs = training.epochs()

    def turn() -> int:
        next(epochs)
        return training.steps_per_epoch * training.batches.size

    return turn


def ours(description: dict[str, Any], data: Path, augment: Any) -> Turn:
    """Our training, an epoch a turn."""
    from trainers.data.config import DataConfig
    from trainers.data.dataset import load
    from trainers.data.prepared import prepare
    from trainers.training.config import TrainConfig
    from trainers.training.loop import ProxyTraining

    images = load(prepare(DataConfig(source="folder", path=data, image_size=32), data.parent / "prepared"))
    config = TrainConfig(epochs=10_000, batch_size=BATCH, augment=augment)
    training = ProxyTraining(build_network(description), images, config, seed=0)
    return epoch_turn(training)


def step(description: dict[str, Any], images: int, variant: StepVariant) -> Turn:
    """The bare step."""
    import torch
    import torch.nn.functional as F

    from trainers.training.compilation import compile_module
    from trainers.training.config import TrainConfig
    from trainers.training.optimizer import adamw, decay_groups

    net = build_network(description).train()
    layout = torch.channels_last if variant.channels_last else torch.contiguous_format
    x = torch.randn(variant.batch, 3, 32, 32).contiguous(memory_format=layout)
    y = torch.randint(0, CLASSES, (variant.batch,))
    config = TrainConfig()
    optimizer: torch.optim.Optimizer = adamw(net, config, x.device)
    if not variant.fused:
        optimizer = torch.optim.AdamW(decay_groups(net, config.weight_decay), lr=config.lr, foreach=True)
    forward = compile_module(net, "default" if variant.compiled else "off")
    steps = max(1, images // variant.batch)

    def turn() -> int:
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=variant.bf16):
                loss = F.cross_entropy(forward(x).float(), y, label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return steps * variant.batch

    return turn


def timm_loop(description: dict[str, Any], data: Path, loaders: int) -> Turn:
    """The loader and optimizer of timm with the settings of its training script, an epoch a turn."""
    import torch
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    net = build_network(description).train()
    dataset = create_dataset("", root=str(data / "train"), split="train", is_training=True, batch_size=BATCH)
    loader = create_loader(
        dataset,
        input_size=(3, 32, 32),
        batch_size=BATCH,
        is_training=True,
        interpolation="random",
        num_workers=loaders,
        device=torch.device("cpu"),
        pin_memory=False,
        persistent_workers=loaders > 0,
    )
    optimizer = create_optimizer_v2(net, opt="adamw", lr=2e-3, weight_decay=0.05)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)

    def turn() -> int:
        count = 0
        for images, labels in loader:
            loss = loss_of(net(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            count += len(labels)
        return count

    return turn


def make_turn(description: dict[str, Any], arguments: argparse.Namespace) -> Turn:
    """The turn of the contender `arguments.serve`."""
    name = arguments.serve
    if name == "ours":
        return ours(description, arguments.data, arguments.augment)
    if name.startswith("timm"):
        return timm_loop(description, arguments.data, loaders=int(name.partition("+")[2] or 0))
    return step(description, arguments.images, VARIANTS[name][0])


def processor_s() -> float:
    """Seconds of processor time of this process and of its living children."""
    ticks, own = 0, os.getpid()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # the process has ended
            continue
        if int(fields[1]) == own:
            ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def serve(arguments: argparse.Namespace) -> None:
    """Take turns: each input line is the description of a network; each output line has the cost of one turn."""
    import torch

    torch.set_num_threads(1)
    current, turn, first_s = "", None, 0.0
    for line in sys.stdin:
        if line != current:
            current, turn = line, make_turn(json.loads(line), arguments)
            start = time.perf_counter()
            turn()  # warm-up
            first_s = time.perf_counter() - start
        assert turn is not None
        wall, processor = time.perf_counter(), processor_s()
        count = turn()
        spent = {"wall_s": time.perf_counter() - wall, "processor_s": processor_s() - processor}
        print(json.dumps({"images": count, "first_s": first_s, **spent}), flush=True)


# In the process that compares.


@dataclass(frozen=True)
class ContenderResult:
    """Medians of one contender on one network, ratios to `against` (above 1: faster), seconds of the first turn."""

    network: str
    trainings: int
    contender: str
    images_per_s: float
    images_per_processor_s: float
    against: str
    ratio: float
    processor_ratio: float
    first_s: float
    rounds: int


class ContenderProcesses:
    """The processes of one contender; all train at the same time."""

    def __init__(self, name: str, count: int, arguments: argparse.Namespace, data: Path, stack: ExitStack) -> None:
        options = {"serve": name, "data": data, "images": arguments.images, "augment": arguments.augment}
        command = [sys.executable, __file__, *(f"--{key}={value}" for key, value in options.items())]
        environment = VARIANTS[name][1] if name in VARIANTS else KEEP_FREED_MEMORY
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
        # An empty cache, so that the first turn compiles.
        path = {"PYTHONPATH": str(Path(__file__).parents[2]), "TORCHINDUCTOR_CACHE_DIR": str(data.parent / "compiled")}
        self.processes = [
            subprocess.Popen(
                command,
                env={**kept, **THREADS, **path, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]
        for process in self.processes:
            stack.callback(process.kill)

    def turn(self, description: dict[str, Any]) -> tuple[float, float, float]:
        """Images a second of wall clock and of processor time, summed over all processes; seconds of the slowest first turn."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(description) + "\n")
            process.stdin.flush()
        wall = processor = first_s = 0.0
        for process in self.processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                sys.exit("a contender ended; see its error above")
            spent = json.loads(line)
            wall += spent["images"] / spent["wall_s"]
            processor += spent["images"] / spent["processor_s"] / len(self.processes)
            first_s = max(first_s, spent["first_s"])
        return wall, processor, first_s


def compare(
    names: Sequence[str], against: str, count: int, arguments: argparse.Namespace, data: Path
) -> Iterator[ContenderResult]:
    """Every network, every contender."""
    with ExitStack() as stack:
        processes_of = {name: ContenderProcesses(name, count, arguments, data, stack) for name in names}
        for network, description in networks().items():
            if arguments.only and not any(word in network for word in arguments.only):
                continue
            turns: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
            for processes in processes_of.values():
                processes.turn(description)
            for index in range(arguments.rounds):
                for name in names if index % 2 else reversed(names):
                    turns[name].append(processes_of[name].turn(description))
            for name, taken in turns.items():
                ratios = [
                    [turn[k] / reference[k] for turn, reference in zip(taken, turns[against], strict=True)]
                    for k in range(2)
                ]
                wall, processor, first_s = (statistics.median(values) for values in zip(*taken, strict=True))
                medians = [statistics.median(values) for values in ratios]
                yield ContenderResult(
                    network, count, name, wall, processor, against, *medians, first_s, arguments.rounds
                )


def link_images(source: Path, count: int, target: Path) -> None:
    """Link the first `count` training images, and one image of each class for validation and test."""
    for folder in sorted((source / "train").iterdir()):
        files = sorted(folder.iterdir())[: count // CLASSES + 2]
        for name, members in (("train", files[2:]), ("val", files[:1]), ("test", files[1:2])):
            (target / name / folder.name).mkdir(parents=True)
            for file in members:
                (target / name / folder.name / file.name).symlink_to(file.resolve())


def format_row(result: ContenderResult) -> str:
    """A row of the table."""
    return (
        f"{result.network:<18}{result.trainings:>7}   {result.contender:<28}{result.images_per_s:>10.0f}{result.ratio:>8.2f} x"
        f"{result.images_per_processor_s:>10.0f}{result.processor_ratio:>8.2f} x{result.first_s:>9.1f}"
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="CIFAR10_FOLDER")
    parser.add_argument(
        "--images", type=int, default=1920, help="number of images of a turn, rounded down to whole batches"
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="trainings at a time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="networks whose name contains one of these")
    parser.add_argument("--augment", default="standard", help="policy of `ours`: none, flip, shift, standard, strong")
    parser.add_argument("--limits", action="store_true", help="compare variants of the bare step instead of loops")
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        default=list(VARIANTS),
        help="variants of --limits; all by default",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of the table")
    parser.add_argument("--serve", choices=[*LOOPS, *VARIANTS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments)
        return
    contenders = tuple(dict.fromkeys(["step", *arguments.variants])) if arguments.limits else LOOPS
    results: list[ContenderResult] = []
    if not arguments.json:
        print(
            f"{'network':<18}{'at once':>7}   {'contender':<28}{'images/s':>10}{'ratio':>10}{'processor':>10}{'ratio':>10}"
            f"{'first s':>9}"
        )
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "images"
        link_images(arguments.data, arguments.images, data)
        for count in arguments.workers:
            for result in compare(contenders, "step", count, arguments, data):
                results.append(result)
                if not arguments.json:
                    print(format_row(result), flush=True)
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    main()
