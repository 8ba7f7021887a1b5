"""Images a second of `RecipeTraining` against timm's training script, on the same network, images and kind of augmentation.

    python tests/benchmarks/retraining.py --data CIFAR10_FOLDER [--images 1920] [--rounds 5] [--batches 64 128] [--json]
    python tests/benchmarks/retraining.py --data CIFAR10_FOLDER --train-py TIMM_CHECKOUT/train.py [...]

CIFAR10_FOLDER has a folder `train` with one folder of images for each class. Without --data, images of noise are written.
Contenders:

    ours      an epoch of `RecipeTraining`: moved, mirrored, a square cut out; AdamW, clipped gradients, label smoothing
    timm      the loop of timm's train.py, made of the parts that it is made of: `create_dataset`, `create_loader` (random resized
              crop, mirrored), `create_optimizer_v2`, `create_scheduler_v2`, `LabelSmoothingCrossEntropy`, `dispatch_clip_grad`
    timm+1    the same with one loader process beside the training
    train.py  the script itself with one loader process, by the average rate that it logs. timm's distributions on the package
              registry, wheel and source, do not have the script: --train-py names that of a checkout

Each contender but the script is a process of its own with one thread, which waits for its turn. The turns of a round follow each
other, in alternating order, so that a drift of the machine affects all of them. Ratios are taken within a round, ours to theirs;
their median is shown, by wall clock and by processor time (with loader processes). The load of the machine is shown below.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from training import CLASSES, KEEP_FREED_MEMORY, THREADS, epoch_turn, link_images, networks, processor_s

NETWORKS = ("resnet10t", "convmixer-64/4", "conv+attention")  # timm's smallest ResNet, and two of ours
TIMM_ENTRYPOINT = "mixfront"
RATE = re.compile(r"Train: [1-9]\d* \[.*\(\s*[\d.]+s,\s*([\d.]+)/s\)  LR")  # the average of an epoch after the first
Turn = Callable[[], int]  # trains on some images and returns their number


def create_network(name: str) -> Any:
    """The network with the same initial weights in every contender."""
    import timm
    import torch

    from search_space import Architecture, build

    torch.manual_seed(0)
    described = networks().get(name)
    if described is None:
        return timm.create_model(name, num_classes=CLASSES)
    return build(Architecture.from_dict(described))


def ours(name: str, data: Path, batch: int) -> Turn:
    """Our training, an epoch a turn."""
    from trainers.data.config import DataConfig
    from trainers.data.dataset import load
    from trainers.data.prepared import prepare
    from trainers.training.recipe import RecipeTraining
    from trainers.training.recipe_config import RecipeConfig

    images = load(prepare(DataConfig(source="folder", path=data, image_size=32), data.parent / "prepared"))
    recipe = RecipeConfig(epochs=10_000, batch_size=batch, augment="standard")
    training = RecipeTraining(create_network(name), images, recipe, seed=0)
    return epoch_turn(training)


def timm_loop(name: str, data: Path, batch: int, loaders: int) -> Turn:
    """The loop of timm's train.py, an epoch a turn."""
    import torch
    from timm.data import create_dataset, create_loader
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.utils import AverageMeter, dispatch_clip_grad

    net = create_network(name).train()
    dataset = create_dataset("", root=str(data / "train"), split="train", is_training=True, batch_size=batch)
    loader = create_loader(
        dataset,
        input_size=(3, 32, 32),
        batch_size=batch,
        is_training=True,
        interpolation="random",
        color_jitter=0,
        num_workers=loaders,
        device=torch.device("cpu"),
        pin_memory=False,
        persistent_workers=loaders > 0,
    )
    optimizer = create_optimizer_v2(net, opt="adamw", lr=2e-3, weight_decay=0.05)
    scheduler, _ = create_scheduler_v2(optimizer, num_epochs=10_000, warmup_epochs=5)
    loss_of, losses = LabelSmoothingCrossEntropy(0.1), AverageMeter()
    epoch = 0

    def turn() -> int:
        nonlocal epoch
        count = 0
        for images, labels in loader:
            loss = loss_of(net(images), labels)
            loss.backward()
            dispatch_clip_grad(net.parameters(), value=1.0)
            optimizer.step()
            losses.update(loss.item(), len(labels))
            optimizer.zero_grad()
            count += len(labels)
        epoch += 1
        scheduler.step(epoch)
        return count

    return turn


def script_rate(script: Path, name: str, data: Path, batch: int) -> float:
    """Images a second of timm's train.py, its average over its second epoch."""
    with tempfile.TemporaryDirectory() as output:
        described = networks().get(name)
        config = Path(output) / "config.yaml"
        settings: dict[str, Any] = {"model": name}
        if described is not None:
            settings = {
                "model": TIMM_ENTRYPOINT,
                "model_kwargs": {"architecture": described},
                "device_modules": ["search_space"],
            }
        config.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
        words = f"--data-dir {data} --val-split val --output {output} --device cpu --workers 1 --num-classes {CLASSES}"
        words += (
            f" --input-size 3 32 32 -b {batch} --opt adamw --lr 2e-3 --weight-decay 0.05 --clip-grad 1 --color-jitter 0"
        )
        words += " --epochs 2 --warmup-epochs 0 --cooldown-epochs 0 --log-interval 1 --smoothing 0.1"
        done = subprocess.run(
            [sys.executable, str(script), "--config", str(config), *words.split()],
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
    rates = RATE.findall(done.stdout + done.stderr)
    if not rates:
        sys.exit(f"{script} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return float(rates[-1])


def environment() -> dict[str, str]:
    """The environment of a contender: one thread, freed memory is kept."""
    return {**os.environ, **THREADS, **KEEP_FREED_MEMORY, "PYTHONPATH": str(Path(__file__).parents[2])}


def serve(arguments: argparse.Namespace) -> None:
    """Take turns: each input line asks for one; each output line has its cost."""
    import torch

    torch.set_num_threads(1)
    name, batch, (contender,) = arguments.network, arguments.batches[0], arguments.serve
    if contender == "ours":
        turn = ours(name, arguments.data, batch)
    else:
        turn = timm_loop(name, arguments.data, batch, loaders=int(contender.partition("+")[2] or 0))
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), processor_s()
        count = turn()
        rates = [count / (time.perf_counter() - wall), count / (processor_s() - processor)]
        print(json.dumps(rates), flush=True)


class ContenderProcess:
    """A process that takes turns."""

    def __init__(self, contender: str, name: str, data: Path, batch: int, stack: ExitStack) -> None:
        options = {"serve": contender, "network": name, "data": data, "batches": batch}
        command = [sys.executable, __file__, *(f"--{key}={value}" for key, value in options.items())]
        self.process = subprocess.Popen(
            command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        stack.callback(self.process.kill)

    def turn(self) -> tuple[float, float]:
        """Images a second of wall clock, and of processor time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a contender ended; see its error above")
        wall, processor = json.loads(line)
        return wall, processor


def compare(name: str, batch: int, data: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All contenders on one network."""
    contenders = ("ours", "timm", "timm+1")
    turns: dict[str, list[tuple[float, float]]] = {contender: [] for contender in contenders}
    rates: list[float] = []
    with ExitStack() as stack:
        processes = {contender: ContenderProcess(contender, name, data, batch, stack) for contender in contenders}
        for process in processes.values():
            process.turn()  # warm-up
        for index in range(arguments.rounds):
            for contender in contenders if index % 2 else reversed(contenders):
                turns[contender].append(processes[contender].turn())
            if arguments.train_py is not None:
                rates.append(script_rate(arguments.train_py, name, data, batch))
    rows = []
    for contender, taken in turns.items():
        wall, processor = (statistics.median(values) for values in zip(*taken, strict=True))
        ratios = [
            statistics.median(mine[k] / other[k] for mine, other in zip(turns["ours"], taken, strict=True))
            for k in range(2)
        ]
        rows.append(row(name, batch, contender, wall, ratios[0], processor, ratios[1]))
    if rates:
        ratio = statistics.median(mine[0] / rate for mine, rate in zip(turns["ours"], rates, strict=True))
        rows.append(row(name, batch, "train.py", statistics.median(rates), ratio, None, None))
    return rows


def row(name: str, batch: int, contender: str, wall: float, ratio: float, *processor: float | None) -> dict[str, Any]:
    """The result of one contender."""
    per_processor_s, processor_ratio = processor
    return {
        "network": name,
        "batch": batch,
        "contender": contender,
        "images_per_s": wall,
        "steps_per_s": wall / batch,
        "ours_to_it": ratio,
        "images_per_processor_s": per_processor_s,
        "ours_to_it_by_processor": processor_ratio,
    }


def write_noise(folder: Path, count: int) -> None:
    """Images of noise, 32 x 32, in a folder for each class."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for index in range(CLASSES):
        place = folder / "train" / f"class{index}"
        place.mkdir(parents=True)
        for number in range(count // CLASSES + 2):
            Image.fromarray(rng.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(place / f"{number:05d}.png")


def show(rows: list[dict[str, Any]]) -> None:
    """Print rows of the table."""
    for line in rows:
        by_processor = line["ours_to_it_by_processor"]
        print(
            f"{line['network']:<16}{line['batch']:>6}  {line['contender']:<10}{line['images_per_s']:>10.0f}"
            f"{line['steps_per_s']:>9.2f}{line['ours_to_it']:>9.2f} x"
            + ("" if by_processor is None else f"{line['images_per_processor_s']:>12.0f}{by_processor:>9.2f} x"),
            flush=True,
        )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="CIFAR10_FOLDER")
    parser.add_argument("--images", type=int, default=1920, help="number of images of an epoch")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--network", default=None, help="one network; all by default")
    parser.add_argument("--train-py", type=Path, default=None, help="timm's train.py")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of the table")
    parser.add_argument("--serve", nargs=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        source, data = arguments.data, Path(folder) / "images"
        if source is None:
            source = Path(folder) / "noise"
            write_noise(source, arguments.images)
        link_images(source, arguments.images, data)
        results: list[dict[str, Any]] = []
        if not arguments.json:
            print(f"{'network':<16}{'batch':>6}  {'contender':<10}{'images/s':>10}{'steps/s':>9}{'ours':>11}", end="")
            print(f"{'processor':>12}{'ours':>11}")
        for name in NETWORKS if arguments.network is None else (arguments.network,):
            for batch in arguments.batches:
                results += (rows := compare(name, batch, data, arguments))
                if not arguments.json:
                    show(rows)
    if arguments.json:
        print(json.dumps(results, indent=1))
    else:
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
