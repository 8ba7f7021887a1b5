"""Wall-clock time to a front: `nas search` and its proxies against a straightforward search with Ray Tune, Optuna and timm.

    python tests/benchmarks/time_to_front.py --data CIFAR10_FOLDER --out runs/time_to_front
    python tests/benchmarks/time_to_front.py --study studies/digits.yaml --arms full inherit --out runs/digits

Each arm is a way to search the same space on the same images (`ARMS`); the first one named is the reference:

straightforward   the search with Ray Tune, OptunaSearch and timm, which trains every trial to the end
full              `nas search`, which trains every trial to the end
halving           with multi-objective halving
inherit           with `train.inherit=nearest`; the time to train the front from scratch counts
one_epoch         one epoch for each of a random sample, then the best of them to the end (Egele et al., "Is One Epoch All You
                  Need For Multi-Fidelity Hyperparameter Optimization?", arXiv 2307.15422); the best by accuracy and MACs

The proxies search so many more architectures as take about the same number of epochs. Only complete trainings count.

The straightforward search uses Ray Tune with its defaults (a new actor for each trial), its `OptunaSearch` with TPE, and timm's
dataset, loader and optimizer. All search the same space on the same images in the same split, with the same number of epochs,
batch size, peak learning rate and cores. The target is the final hypervolume of (accuracy, MACs) of the reference; the time to it
counts from the start of the process. Prints a line per seed and arm, and with `--json` all figures. Searches are kept in `--out`
and not repeated.

A virtual machine may give its processors to other guests for a while, so that its wall-clock seconds do not compare. Here a
second counts by the share of it in which the processors were available (all but "steal" in /proc/stat). Both times are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import plotly.graph_objects as go
from halving import OBJECTIVES, STUDY, History, overrides_of, search, seconds_to
from PIL import Image

from nas.analysis.front import Bounds, hypervolume
from nas.figures.plot import COLOURS, PLOTLY_CONFIG, apply_style
from nas.study.config import StudyConfig
from nas.study.database.storage import open_study
from search_space import SearchSpace
from trainers.data.dataset import Dataset, load
from trainers.data.description import describe
from trainers.data.prepared import prepare

ARMS = {
    "straightforward": "Ray Tune, OptunaSearch (TPE), timm",
    "full": "nas search",
    "halving": "nas search, halving",
    "inherit": "nas search, inherited weights",
    "one_epoch": "one epoch, then the best",
}
"""Arm -> its name in the figure."""
MORE_TRIALS = {"full": 1.0, "halving": 1.8, "inherit": 1.5}
"""Arm -> architectures for each of those that are all trained to the end."""
Run = tuple[
    float, History
]  # start of the process, and its complete trials by the time of their end; both are Unix times


class AvailabilityClock:
    """Counts the seconds in which the processors of this machine were available.

    A thread appends the count to `file` twice a second until the process ends. Where the system does not report the count,
    wall-clock seconds are counted.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        wall_s, available_s, counter_s = time.time(), 0.0, _available_s()
        with self.file.open("a") as out:
            while True:
                out.write(f"{wall_s} {available_s}\n")
                out.flush()
                time.sleep(0.5)
                last_wall_s, last_counter_s = wall_s, counter_s
                wall_s, counter_s = time.time(), _available_s()
                if counter_s is None or last_counter_s is None:
                    available_s += wall_s - last_wall_s
                else:
                    available_s += counter_s - last_counter_s

    def between(self, start: float, ends: list[float]) -> list[float]:
        """Available seconds from the Unix time `start` to each of `ends`, which are within one process that counted."""
        processes: list[list[tuple[float, float]]] = []
        for line in self.file.read_text().splitlines():
            wall_s, available_s = map(float, line.split())
            if available_s == 0:
                processes.append([])
            processes[-1].append((wall_s, available_s))
        for counts in processes:
            walls, available = zip(*counts, strict=True)
            if walls[0] - 1 <= start <= walls[-1]:
                first, *others = np.interp([start, *ends], walls, available)
                return [float(other - first) for other in others]
        raise ValueError(f"{self.file}: must cover the time {start}")


def _available_s() -> float | None:
    """Seconds since the start of the machine in which its processors were available, their mean; None if it is not reported."""
    try:
        with Path("/proc/stat").open() as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    return sum(ticks[:7]) / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)


def space_of(config: StudyConfig, data_file: Path) -> SearchSpace:
    """The search space of `config` on the images of `data_file`."""
    info = describe(data_file)
    return config.space_on(info.image_size, info.in_chans, info.num_classes)


def write_images(dataset: Dataset, folder: Path) -> None:
    """Write the training and validation images as PNG files, in a folder for each class."""
    for part in ("train", "val"):
        split = getattr(dataset, part)
        for index, (image, label) in enumerate(zip(split.images, split.labels.tolist(), strict=True)):
            file = folder / part / dataset.class_names[label] / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)


def loader(dataset: Dataset, root: Path, training: bool, batch_size: int) -> Any:
    """The loader of timm for the images in `root`."""
    from timm.data import create_dataset, create_loader

    return create_loader(
        create_dataset("", root=str(root)),
        input_size=(3, *dataset.image_size),
        batch_size=batch_size if training else 512,
        is_training=training,
        use_prefetcher=False,
        no_aug=not training,
        scale=(0.75, 1.0),
        ratio=(1.0, 1.0),
        hflip=0.5,
        color_jitter=None,
        crop_pct=1.0,
        mean=dataset.mean,
        std=dataset.std,
        num_workers=1,
        persistent_workers=True,
    )


def train_trial(parameters: dict[str, Any], study: str, overrides: list[str], data_file: str, images: str) -> None:
    """One trial of the straightforward search: a trainable of Ray Tune."""
    import torch
    from ray import tune
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler

    from search_space import build, cost

    torch.set_num_threads(1)
    config = StudyConfig.from_file(study, *overrides)
    dataset, train = load(Path(data_file)), config.train
    architecture = space_of(config, Path(data_file)).decode(parameters)
    network = build(architecture)
    training = loader(dataset, Path(images) / "train", True, train.batch_size)
    validation = loader(dataset, Path(images) / "val", False, train.batch_size)
    optimizer = create_optimizer_v2(network, opt="adamw", lr=train.lr, weight_decay=train.weight_decay)
    steps = len(training)
    schedule = CosineLRScheduler(optimizer, train.epochs * steps, warmup_t=steps, t_in_epochs=False)
    smoothed = LabelSmoothingCrossEntropy(train.label_smoothing)
    step = 0
    for _ in range(train.epochs):
        network.train()
        for batch, labels in training:
            optimizer.zero_grad()
            torch.autograd.backward(smoothed(network(batch), labels))
            torch.nn.utils.clip_grad_norm_(network.parameters(), train.grad_clip or float("inf"))
            optimizer.step()
            step += 1
            schedule.step_update(step)
        network.eval()
        with torch.inference_mode():
            correct = sum(int((network(batch).argmax(1) == labels).sum()) for batch, labels in validation)
    macs = float(cost(architecture).macs)
    tune.report({"accuracy": correct / len(validation.dataset), "macs": macs, "ended": time.time()})


def straightforward(out: Path, seed: int, options: argparse.Namespace, data_file: Path, overrides: list[str]) -> Run:
    """The search with Ray Tune and OptunaSearch, in a process of its own, since a process has one Ray."""
    file = out / f"straightforward-{seed}.json"
    if not file.is_file():
        arguments = [str(file), str(seed), str(options.trials), str(data_file), str(out / "images"), str(options.study)]
        arguments += overrides
        subprocess.run([sys.executable, __file__, "--straightforward", *arguments], check=True)
    start, rows = json.loads(file.read_text())
    return start, [(end, accuracy, macs) for end, accuracy, macs in rows]


def run_straightforward(
    file: str, seed: str, trials: str, data_file: str, images: str, study: str, *overrides: str
) -> None:
    """Search with Ray Tune and OptunaSearch, and write the `Run` to `file`."""
    start = time.time()
    import optuna
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    space = space_of(StudyConfig.from_file(study, *overrides), Path(data_file))
    ray.init("local", num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, log_to_driver=False)
    search_algorithm = OptunaSearch(
        partial(suggest, space),
        metric=["accuracy", "macs"],
        mode=["max", "min"],
        sampler=optuna.samplers.TPESampler(seed=int(seed)),
    )
    tuner = tune.Tuner(
        tune.with_parameters(train_trial, study=study, overrides=list(overrides), data_file=data_file, images=images),
        tune_config=tune.TuneConfig(search_alg=search_algorithm, num_samples=int(trials), max_concurrent_trials=None),
        run_config=tune.RunConfig(storage_path=f"{file}.ray", verbose=0),
    )
    results = [result.metrics for result in tuner.fit() if result.metrics and "ended" in result.metrics]
    rows = sorted((m["ended"], m["accuracy"], m["macs"]) for m in results)
    Path(file).write_text(json.dumps([start, rows]))


def suggest(space: SearchSpace, trial: Any) -> None:
    """The space as a define-by-run function of Optuna, which must return None."""
    space.suggest(trial)


def arm_overrides(arm: str, trials: int, epochs: int) -> list[str]:
    """The overrides of the arm `arm` of `nas search` with the epochs of `trials` complete trainings."""
    if arm == "one_epoch":
        # One in `epochs` goes on: half of the epochs are the first ones, and half those of the best.
        count = round(trials * epochs / 2)
        scheduler = ["scheduler.name=halving", "scheduler.first_epochs=1", f"scheduler.reduction={epochs}"]
        return [f"trials={count}", *scheduler, "sampler.name=random"]
    proxy = {"full": [], "halving": ["scheduler.name=halving"], "inherit": ["train.inherit=nearest"]}[arm]
    return [f"trials={round(MORE_TRIALS[arm] * trials)}", *proxy]


def ours(out: Path, study: Path, overrides: list[str]) -> Run:
    """`nas search` of the same `study`, in the folder `out`."""
    start_file = out.with_suffix(".start")
    if not start_file.is_file():
        start_file.write_text(str(time.time()))
    search(out, overrides, study)
    start = float(start_file.read_text())
    complete = [trial for trial in open_study(out).get_trials() if trial.state.name == "COMPLETE"]
    return start, sorted((t.datetime_complete.timestamp(), t.values[0], t.values[1]) for t in complete)  # type: ignore[union-attr]


def available_history(clock: AvailabilityClock, start: float, history: History) -> History:
    """`history` in available seconds from `start`."""
    seconds = clock.between(start, [end for end, *_ in history])
    return [(second, accuracy, macs) for second, (_, accuracy, macs) in zip(seconds, history, strict=True)]


def wall_history(start: float, history: History) -> History:
    """`history` in wall-clock seconds from `start`."""
    return [(end - start, accuracy, macs) for end, accuracy, macs in history]


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Write the figure: hypervolume over seconds, a line for each search."""
    figure = go.Figure()
    apply_style(figure)
    for row in rows:
        bounds = Bounds.of([values for history in row["histories"] for _, *values in history], OBJECTIVES)
        for arm, colour, history in zip(row["arms"], COLOURS, row["histories"], strict=False):
            name = ARMS[arm]
            volumes = [hypervolume([v for _, *v in history[: i + 1]], OBJECTIVES, bounds) for i in range(len(history))]
            figure.add_scatter(
                x=[seconds for seconds, *_ in history],
                y=[volume / row["target"] for volume in volumes],
                line={"color": colour, "shape": "hv"},
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=row is rows[0],
            )
    figure.add_hline(1, line={"dash": "dot", "width": 1})
    figure.update_xaxes(title_text="seconds", rangemode="tozero")
    figure.update_yaxes(title_text="hypervolume / target")
    corner = {"x": 0.98, "y": 0.04, "xanchor": "right", "yanchor": "bottom"}
    figure.update_layout(
        paper_bgcolor="#ffffff", height=400, width=840, legend=corner, margin={"t": 20, "r": 20, "b": 50}
    )
    file.write_text(
        figure.to_html(include_plotlyjs=True, config=PLOTLY_CONFIG | {"displayModeBar": False}), encoding="utf-8"
    )


def compare_seed(arguments: argparse.Namespace, seed: int, data_file: Path, clock: AvailabilityClock) -> dict[str, Any]:
    """Run all arms with `seed`, and return the figures."""
    out = data_file.parents[1]
    overrides = study_overrides(arguments)
    runs = []
    for arm in arguments.arms:
        if arm == "straightforward":
            runs.append(straightforward(out, seed, arguments, data_file, overrides))
        else:
            own = [*arm_overrides(arm, arguments.ours, arguments.epochs), f"seed={seed}", *arguments.overrides]
            runs.append(ours(out / f"{arm}-{seed}", arguments.study, [*overrides, *own]))
    histories = [available_history(clock, *run) for run in runs]
    wall_clock = compare([wall_history(*run) for run in runs])
    return {
        "seed": seed,
        "arms": arguments.arms,
        **compare(histories),
        "wall_clock": wall_clock,
        "histories": histories,
    }


def study_overrides(arguments: argparse.Namespace) -> list[str]:
    """The overrides of all arms."""
    if arguments.data is None:
        return [f"train.epochs={arguments.epochs}", "objectives=[accuracy, macs]"]
    return [*overrides_of(arguments.data, arguments.images, arguments.epochs), "objectives=[accuracy, macs]"]


def compare(histories: list[History]) -> dict[str, Any]:
    """The figures of one seed, a list with a value for each arm; the target is the final hypervolume of the first."""
    bounds = Bounds.of([values for history in histories for _, *values in history], OBJECTIVES)
    final = [hypervolume([values for _, *values in history], OBJECTIVES, bounds) for history in histories]
    return {
        "hypervolume": final,
        "complete_trials": [len(history) for history in histories],
        "total_s": [history[-1][0] for history in histories],
        "target": final[0],
        "seconds_to_target": [seconds_to(final[0], history, bounds) for history in histories],
    }


def speed_up(row: dict[str, Any], arm: int) -> float:
    """The time of the whole reference over the time of the arm number `arm` to the target; 0 if it never reaches it."""
    return float(row["total_s"][0] / row["seconds_to_target"][arm])


def format_rows(row: dict[str, Any]) -> str:
    """The lines of a seed."""
    lines = [
        f"seed {row['seed']}: {row['arms'][0]} took {row['total_s'][0]:.0f} s for {row['complete_trials'][0]} trials and reached "
        f"its final hypervolume {row['target']:.4f} after {row['seconds_to_target'][0]:.0f} s"
    ]
    for arm, name in list(enumerate(row["arms"]))[1:]:
        lines.append(
            f"seed {row['seed']}: {name} reached it after {row['seconds_to_target'][arm]:.0f} s "
            f"({speed_up(row, arm):.1f}x; {speed_up(row['wall_clock'], arm):.1f}x in wall-clock time) and ended with "
            f"{row['hypervolume'][arm]:.4f} after {row['complete_trials'][arm]} complete trainings and "
            f"{row['total_s'][arm]:.0f} s"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--straightforward"]:
        run_straightforward(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=STUDY, help="YAML file with objectives accuracy and macs first")
    parser.add_argument("--data", type=Path, help="images in a folder for each class, for a study of such images")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["straightforward", "full"])
    parser.add_argument("--out", type=Path, required=True, help="where the searches are kept")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--trials", type=int, default=60, help="of the straightforward search")
    parser.add_argument(
        "--ours", type=int, default=30, help="complete trainings of `nas search`; proxies have as many epochs"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--figure", type=Path, metavar="FILE.html", help="hypervolume over seconds")
    parser.add_argument(
        "overrides", nargs="*", help="further key.sub=value of all arms of `nas search`, such as resources.workers=1"
    )
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    arguments.study = arguments.study.resolve()
    config = StudyConfig.from_file(arguments.study, *study_overrides(arguments))
    data_file = prepare(config.data, out / "data").resolve()
    if "straightforward" in arguments.arms and not (out / "images").is_dir():
        write_images(load(data_file), out / "images")
    clock = AvailabilityClock(out / "clock.txt")
    rows = []
    for seed in range(arguments.seeds):
        rows.append(compare_seed(arguments, seed, data_file, clock))
        if not arguments.json:
            print(format_rows(rows[-1]), flush=True)
    if arguments.figure is not None:
        draw(rows, arguments.figure)
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        for arm, name in list(enumerate(arguments.arms))[1:]:
            ratios = [speed_up(row, arm) for row in rows]
            print(f"{name}: median {median(ratios):.1f}x, from {np.min(ratios):.1f}x to {np.max(ratios):.1f}x")


if __name__ == "__main__":
    main()
