"""What a GPU does in a search: the training loop against the bare step, what a worker holds, workers that share the GPU.

    python tests/benchmarks/gpu.py --data CIFAR10_FOLDER [--only steps memory sharing] [--shares 1 2 4 8] [--trials 16] [--json]

CIFAR10_FOLDER has a folder `train` with one folder of images for each class.

    steps     images a second of an epoch of `ProxyTraining` (moved, mirrored, a square cut out; clipped gradients), and of the
              bare step on one batch in memory: forward, backward, optimizer. In turns, in one process; medians. `peak MiB` is
              what the allocator held at most in the epoch
    memory    what a process takes of the GPU besides the tensors of its allocator, after a training, by `nvidia-smi`
    sharing   a search of random architectures by 1, 2, ... workers on the GPU, the same trials each time, every network
              measured alone before it is trained. Seconds from the first trial's start to the last one's end; median seconds
              of training steps and of measuring; share of the workers' time that training takes
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from training import Turn, build_network, epoch_turn, networks

from nas.study.database.storage import open_study
from nas.study.segments import segments_of
from search_space import presets
from trainers.data.config import DataConfig
from trainers.data.dataset import Dataset, load
from trainers.data.prepared import prepare
from trainers.training.config import AmpMode, TrainConfig
from trainers.training.evaluation import autocast
from trainers.training.loop import ProxyTraining
from trainers.training.optimizer import adamw

MIB = 2**20
STUDY = """\
name: shared
sampler: {name: random}
objectives: [accuracy, macs, images_per_s]
space:
  layout: pyramid
  num_stages: 2
  stem: {patch: [2, 4]}
  stages:
    - &s
      mixer: {conv: {k: [3, 5, 7]}, global_filter: null, attention: {heads: 4}, pool: null}
      depth: [1, 2, 3]
      width: [32, 64, 96]
    - *s
train: {epochs: 3, batch_size: 256}
throughput: {operators_s: 0}
"""


def contenders() -> dict[str, dict[str, Any]]:
    """The networks of `training.py`, and a published one."""
    published = presets.convmixer(256, 8, k=5, patch=2, image_size=32, num_classes=10).to_dict()
    chosen = ("convmixer-64/4", "conv+attention", "global_filter", "afno", "lambda", "wave")
    return {"convmixer-256/8": published} | {name: networks()[name] for name in chosen}


def loop(description: dict[str, Any], data: Dataset, config: TrainConfig) -> Turn:
    """A function that trains for an epoch and returns the number of images."""
    training = ProxyTraining(build_network(description), data, config, seed=0)
    return epoch_turn(training)


def bare_step(description: dict[str, Any], data: Dataset, config: TrainConfig) -> Turn:
    """The same number of steps on one batch."""
    module = build_network(description).to(data.device).train()
    size = min(config.batch_size, len(data.train))
    shape = (size, data.in_chans, *data.image_size)
    images = torch.randn(shape, device=data.device).contiguous(memory_format=torch.channels_last)
    targets = torch.randint(0, data.num_classes, (size,), device=data.device)
    optimizer = adamw(module, config, data.device)

    def turn() -> int:
        for _ in range(len(data.train) // size):
            with autocast(data.device, config.amp):
                loss = F.cross_entropy(module(images).float(), targets, label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
        return len(data.train) // size * size

    return turn


def images_per_s(turn: Turn) -> float:
    """Of one turn, until the GPU has finished."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    count = turn()
    torch.cuda.synchronize()
    return count / (time.perf_counter() - start)


def time_steps(
    data: Dataset, names: list[str], batches: list[int], amps: list[AmpMode], rounds: int
) -> list[dict[str, Any]]:
    """A row for each network, batch size and precision."""
    rows = []
    plans = [(batch, amp) for batch in batches for amp in amps]
    for name in names:
        description = contenders()[name]
        for batch, amp in plans:
            config = TrainConfig(epochs=10_000, batch_size=batch, amp=amp, augment="standard", validate_every=10_000)
            turns = {"loop": loop(description, data, config), "step": bare_step(description, data, config)}
            rates: dict[str, list[float]] = {which: [] for which in turns}
            for turn in turns.values():
                turn()
            torch.cuda.reset_peak_memory_stats()
            for number in range(rounds):
                for which in list(turns)[:: 1 if number % 2 else -1]:
                    rates[which].append(images_per_s(turns[which]))
            ratios = [one / two for one, two in zip(rates["loop"], rates["step"], strict=True)]
            rows.append(
                {
                    "network": name,
                    "batch": batch,
                    "amp": amp,
                    "loop images/s": round(statistics.median(rates["loop"])),
                    "step images/s": round(statistics.median(rates["step"])),
                    "ratio": round(statistics.median(ratios), 3),
                    "peak MiB": round(torch.cuda.max_memory_allocated() / MIB),
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def used_mib() -> int:
    """Memory in use on the first GPU."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])


WORKER = """
import sys, torch
from pathlib import Path
from gpu import contenders, loop
from trainers.data.dataset import load
from trainers.training.config import TrainConfig
loop(contenders()[sys.argv[2]], load(Path(sys.argv[1]), "cuda"), TrainConfig(epochs=2, batch_size=256))()
torch.cuda.synchronize()
torch.cuda.empty_cache()
print(torch.cuda.memory_reserved() // 2**20, flush=True)
sys.stdin.read()
"""


def measure_memory(data_file: Path) -> list[dict[str, Any]]:
    """A row for each of some networks: of one process, and of a second one beside it."""
    rows = []
    for name in ("convmixer-64/4", "conv+attention", "afno"):
        before, held, processes = used_mib(), [], []
        for _ in range(2):
            command = [sys.executable, "-c", WORKER, str(data_file), name]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
            )
            assert process.stdout is not None
            reserved, after = int(process.stdout.readline()), used_mib()
            held.append(after - before - reserved)
            before = after
            processes.append(process)
        for process in processes:
            process.communicate("")
        rows.append({"network": name, "first MiB": held[0], "second MiB": held[1]})
    return rows


def time_searches(data: Path, shares: list[int], trials: int) -> list[dict[str, Any]]:
    """A row for each number of workers."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shared.yaml").write_text(STUDY)
        for workers in shares:
            out = Path(folder) / f"workers_{workers}"
            overrides = [
                f"trials={trials}",
                f"data.path={data}",
                "data.source=folder",
                "resources.executor=local",
                f"resources.workers={workers}",
                f"resources.gpus_per_trial={1 / workers}",
            ]
            command = [sys.executable, "-m", "nas.cli", "search", "shared.yaml", "--out", str(out), *overrides]
            started = time.time()
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert run.returncode == 0, run.stderr
            wall_s = time.time() - started
            ended = [trial for trial in open_study(out).get_trials() if trial.datetime_complete and trial.values]
            segments = [segment for trial in ended for segment in segments_of(trial.user_attrs)]
            first, last = min(s.start for s in segments), max(s.end or 0.0 for s in segments)
            training_s = sum(s.train_s + s.validate_s for s in segments)
            rows.append(
                {
                    "workers": workers,
                    "trials": len(ended),
                    "seconds": round(last - first, 1),
                    "whole command s": round(wall_s, 1),
                    "trials/min": round(60 * len(ended) / (last - first), 1),
                    "training s": round(statistics.median(s.train_s + s.validate_s for s in segments), 2),
                    "measuring s": round(statistics.median(s.measure_s for s in segments), 2),
                    "training": round(training_s / (workers * (last - first)), 3),
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print `rows` as a table."""
    print(f"\n{title}")
    widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    print("  ".join(key.rjust(widths[key]) for key in widths))
    for row in rows:
        print("  ".join(str(row[key]).rjust(widths[key]) for key in widths))


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--only", nargs="+", choices=("steps", "memory", "sharing"), default=["steps", "memory", "sharing"]
    )
    parser.add_argument("--networks", nargs="+", choices=contenders(), default=list(contenders()))
    parser.add_argument("--amp", nargs="+", choices=("auto", "off"), default=["auto", "off"])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--rounds", type=int, default=5, help="of `steps`")
    parser.add_argument("--shares", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--json", action="store_true", help="an object of lists instead of tables")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("torch finds no GPU")
    results: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = prepare(DataConfig(source="folder", path=arguments.data, image_size=32), Path(folder))
        if "memory" in arguments.only:  # before this process uses the GPU
            results["memory"] = measure_memory(file)
        if "sharing" in arguments.only:
            results["sharing"] = time_searches(arguments.data.resolve(), arguments.shares, arguments.trials)
        if "steps" in arguments.only:
            results["steps"] = time_steps(
                load(file, "cuda"), arguments.networks, arguments.batches, arguments.amp, arguments.rounds
            )
    about = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
    if arguments.json:
        print(json.dumps(about | results))
        return
    print(" ".join(about.values()))
    for name, rows in results.items():
        show(name, rows)


if __name__ == "__main__":
    main()
