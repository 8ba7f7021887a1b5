"""Images a second of the training loop, against a plain timm loop and against the bare step; and what moves that limit.

    python tests/benchmarks/training.py --data CIFAR10_FOLDER [--images 1920] [--workers 1 2] [--rounds 5] [--only WORD ...]
    python tests/benchmarks/training.py --data CIFAR10_FOLDER --limits [...] [--json]

CIFAR10_FOLDER has a folder `train` with one folder of images for each class. The first form compares, for each network,

    ours    an epoch of `ProxyTraining`: crop, mirror, cutout (or another `--augment`), AdamW, clipped gradients; ten images
            are validated
    step    forward, backward and optimizer on one fixed batch in memory: the limit that a loop cannot pass
    timm    `create_dataset`, `create_loader` with its own transforms, `create_optimizer_v2("adamw")`; no loader process
    timm+1  the same with one loader process beside each training

by 1 and by 2 trainings at a time, one thread each. `--limits` compares forms of the bare step: memory layout, optimizer,
precision, batch size, compiled (`torch.compile`; `first s` says what that costs), and what the C library does with freed
memory (environment variables, so another process).

Each contender is a process of its own that waits for its turn; the turns of a round follow each other, the order changing,
so a drift of the machine meets all. A ratio is that of neighbours in a round, its median is shown. Two figures: by wall clock,
and by processor time (loader processes' with it), which other work on the machine hardly touches.
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
from typing import Any

CLASSES = 10
BATCH = 64
KEEP = {  # glibc: keep freed memory, give no page back
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
Turn = Callable[[], int]  # trains a little, returns on how many images


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
    later = {"mixer": {"name": "attention", "heads": 4}, "width": 96, "depth": 2, "norm": "batch", "downsample": 2}
    middle["stages"].append(later)
    found = {"convmixer-64/4": small, "conv+attention": middle}
    return found | {name: isotropic(name, 32, 2) for name in sorted(MIXERS)}


@dataclass(frozen=True)
class Form:
    """A form of the bare step; the defaults are those of our training."""

    channels_last: bool = True
    fused: bool = True
    bf16: bool = False
    compiled: bool = False
    batch: int = BATCH


FORMS: dict[str, tuple[Form, dict[str, str]]] = {
    "step": (Form(), KEEP),
    "channels first": (Form(channels_last=False), KEEP),
    "foreach AdamW": (Form(fused=False), KEEP),
    "bf16 autocast": (Form(bf16=True), KEEP),
    "compiled": (Form(compiled=True), KEEP),
    "batch 128": (Form(batch=128), KEEP),
    "batch 256": (Form(batch=256), KEEP),
    "pages given back": (Form(), {}),
    "given back, channels first": (Form(channels_last=False), {}),
}
LOOPS = ("ours", "step", "timm", "timm+1")


# In the process of a contender.


def built(description: dict[str, Any]) -> Any:
    import torch

    from search_space import Architecture, build

    torch.manual_seed(0)
    return build(Architecture.from_dict(description))


def ours(description: dict[str, Any], data: Path, augment: Any) -> Turn:
    """Our training, an epoch a turn."""
    from trainers.data.config import DataConfig
    from trainers.data.dataset import load
    from trainers.data.prepared import prepare
    from trainers.training.config import TrainConfig
    from trainers.training.loop import ProxyTraining

    images = load(prepare(DataConfig(source="folder", path=data, image_size=32), data.parent / "prepared"))
    config = TrainConfig(epochs=10_000, batch_size=BATCH, augment=augment)
    training = ProxyTraining(built(description), images, config, seed=0)
    epochs = training.epochs()

    def turn() -> int:
        next(epochs)
        return training.steps_per_epoch * training.batches.size

    return turn


def step(description: dict[str, Any], images: int, form: Form) -> Turn:
    """The bare step."""
    import torch
    import torch.nn.functional as F

    from trainers.training.compilation import compile_module
    from trainers.training.config import TrainConfig
    from trainers.training.optimizer import adamw, decay_groups

    net = built(description).train()
    layout = torch.channels_last if form.channels_last else torch.contiguous_format
    x = torch.randn(form.batch, 3, 32, 32).contiguous(memory_format=layout)
    y = torch.randint(0, CLASSES, (form.batch,))
    config = TrainConfig()
    optimizer: torch.optim.Optimizer = adamw(net, config, x.device)
    if not form.fused:
        optimizer = torch.optim.AdamW(decay_groups(net, config.weight_decay), lr=config.lr, foreach=True)
    forward = compile_module(net, "default" if form.compiled else "off")
    steps = max(1, images // form.batch)

    def turn() -> int:
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=form.bf16):
                loss = F.cross_entropy(forward(x).float(), y, label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return steps * form.batch

    return turn


def timm_loop(description: dict[str, Any], data: Path, loaders: int) -> Turn:
    """Timm's data path and optimizer with the settings of its training script, an epoch a turn."""
    import torch
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    net = built(description).train()
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


def contender(description: dict[str, Any], arguments: argparse.Namespace) -> Turn:
    """What `arguments.serve` does in a turn."""
    name = arguments.serve
    if name == "ours":
        return ours(description, arguments.data, arguments.augment)
    if name.startswith("timm"):
        return timm_loop(description, arguments.data, loaders=int(name.partition("+")[2] or 0))
    return step(description, arguments.images, FORMS[name][0])


def processor_s() -> float:
    """Seconds of processor time of this process and of those that it started and that live."""
    ticks, own = 0, os.getpid()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[1]) == own:
            ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def serve(arguments: argparse.Namespace) -> None:
    """Take turns: each line of the input is a network's description; each line of the output says what its turn took."""
    import torch

    torch.set_num_threads(1)
    current, turn, first_s = "", None, 0.0
    for line in sys.stdin:
        if line != current:
            current, turn = line, contender(json.loads(line), arguments)
            begun = time.perf_counter()
            turn()  # warm
            first_s = time.perf_counter() - begun
        assert turn is not None
        wall, processor = time.perf_counter(), processor_s()
        count = turn()
        spent = {"wall_s": time.perf_counter() - wall, "processor_s": processor_s() - processor}
        print(json.dumps({"images": count, "first_s": first_s, **spent}), flush=True)


# In the process that compares.


@dataclass(frozen=True)
class Result:
    """Medians of one contender on one network; ratios to `against`, above 1: this one is faster; what its first turn took."""

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


class Team:
    """As many processes of one contender as train at a time."""

    def __init__(self, name: str, count: int, arguments: argparse.Namespace, data: Path, stack: ExitStack) -> None:
        given = {"serve": name, "data": data, "images": arguments.images, "augment": arguments.augment}
        command = [sys.executable, __file__, *(f"--{key}={value}" for key, value in given.items())]
        environment = FORMS[name][1] if name in FORMS else KEEP
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
        """Images a second of wall clock and of processor time, of all together; seconds of the slowest first turn."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(description) + "\n")
            process.stdin.flush()
        wall = processor = first_s = 0.0
        for process in self.processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                sys.exit("a contender ended; its error stands above")
            spent = json.loads(line)
            wall += spent["images"] / spent["wall_s"]
            processor += spent["images"] / spent["processor_s"] / len(self.processes)
            first_s = max(first_s, spent["first_s"])
        return wall, processor, first_s


def compare(
    names: Sequence[str], against: str, count: int, arguments: argparse.Namespace, data: Path
) -> Iterator[Result]:
    """Every network, every contender."""
    with ExitStack() as stack:
        teams = {name: Team(name, count, arguments, data, stack) for name in names}
        for network, description in networks().items():
            if arguments.only and not any(word in network for word in arguments.only):
                continue
            turns: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
            for team in teams.values():
                team.turn(description)
            for index in range(arguments.rounds):
                for name in names if index % 2 else reversed(names):
                    turns[name].append(teams[name].turn(description))
            for name, taken in turns.items():
                ratios = [
                    [mine[k] / other[k] for mine, other in zip(taken, turns[against], strict=True)] for k in range(2)
                ]
                wall, processor, first_s = (statistics.median(values) for values in zip(*taken, strict=True))
                medians = [statistics.median(values) for values in ratios]
                yield Result(network, count, name, wall, processor, against, *medians, first_s, arguments.rounds)


def part(source: Path, count: int, target: Path) -> None:
    """Links to the first `count` training images, and to one of each class for validation and test."""
    for folder in sorted((source / "train").iterdir()):
        files = sorted(folder.iterdir())[: count // CLASSES + 2]
        for name, some in (("train", files[2:]), ("val", files[:1]), ("test", files[1:2])):
            (target / name / folder.name).mkdir(parents=True)
            for file in some:
                (target / name / folder.name / file.name).symlink_to(file.resolve())


def line(result: Result) -> str:
    """A row of the table."""
    return (
        f"{result.network:<18}{result.trainings:>7}   {result.contender:<28}{result.images_per_s:>10.0f}{result.ratio:>8.2f} x"
        f"{result.images_per_processor_s:>10.0f}{result.processor_ratio:>8.2f} x{result.first_s:>9.1f}"
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="CIFAR10_FOLDER")
    parser.add_argument("--images", type=int, default=1920, help="of a turn; rounded down to whole batches")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="trainings at a time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="networks whose name contains one of these")
    parser.add_argument("--augment", default="standard", help="the policy of ours: none, flip, shift, standard, strong")
    parser.add_argument("--limits", action="store_true", help="forms of the bare step instead of loops")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS), help="of --limits; all by default")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of the table")
    parser.add_argument("--serve", choices=[*LOOPS, *FORMS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments)
        return
    contenders = tuple(dict.fromkeys(["step", *arguments.forms])) if arguments.limits else LOOPS
    found: list[Result] = []
    if not arguments.json:
        print(
            f"{'network':<18}{'at once':>7}   {'contender':<28}{'images/s':>10}{'ratio':>10}{'processor':>10}{'ratio':>10}"
            f"{'first s':>9}"
        )
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "images"
        part(arguments.data, arguments.images, data)
        for count in arguments.workers:
            for result in compare(contenders, "step", count, arguments, data):
                found.append(result)
                if not arguments.json:
                    print(line(result), flush=True)
    if arguments.json:
        print(json.dumps([asdict(result) for result in found], indent=1))


if __name__ == "__main__":
    main()
