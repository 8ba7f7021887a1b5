"""Wall-clock to a front: `nas search` against a straightforward search by Ray Tune, Optuna and timm.

    python tests/benchmarks/time_to_front.py --data CIFAR10_FOLDER --out runs/time_to_front

The straightforward one: Ray Tune as it comes (a fresh actor for each trial), its `OptunaSearch` with TPE, every trial to the
end, timm's dataset, loader and optimizer. Both search the same space on the same images in the same split, with as many epochs,
batches of the same size and the same peak learning rate, on the same cores. The goal is the hypervolume of (accuracy, MACs)
that the straightforward search ends with; the time is that from the start of a process to the front that has it. `--json`
for machines; each search is kept in `--out` and not run again.

On a virtual machine whose processors are now and then given to others, seconds of wall-clock do not compare: a second counts
here by the share of it that the processors were there (all but "steal" in /proc/stat). Both are told.
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
from halving import OBJECTIVES, STUDY, History, compare, overrides_of, search
from PIL import Image

from nas.analysis.front import Bounds, hypervolume
from nas.driver.run import space_on
from nas.figures.plot import COLOURS, PLOTLY_CONFIG, apply_style
from nas.study import config as configs
from nas.study.storage import open_study
from search_space import SearchSpace
from trainers.data.dataset import Dataset, load
from trainers.data.prepared import describe, prepare

NAMES = ("Ray Tune, OptunaSearch (TPE), timm", "nas search")
Course = tuple[float, History]  # when the process began, and the whole trainings, each by the time of its end


class Clock:
    """Seconds that this machine's processors were there, told in `file` twice a second by a thread until the process ends.

    Where the system does not tell, they are those of the wall-clock.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self) -> None:
        before, there, now = time.time(), 0.0, _there_s()
        with self.file.open("a") as out:
            while True:
                out.write(f"{before} {there}\n")
                out.flush()
                time.sleep(0.5)
                last, now, wall = now, _there_s(), time.time()
                there += wall - before if now is None or last is None else now - last
                before = wall

    def between(self, begin: float, ends: list[float]) -> list[float]:
        """Seconds from the time `begin` to each of `ends`, of one life of this process or of several."""
        lives: list[list[tuple[float, float]]] = []
        for line in self.file.read_text().splitlines():
            wall, there = map(float, line.split())
            if there == 0:
                lives.append([])
            lives[-1].append((wall, there))
        for life in lives:
            walls, theres = zip(*life, strict=True)
            if walls[0] - 1 <= begin <= walls[-1]:
                start, *others = np.interp([begin, *ends], walls, theres)
                return [float(other - start) for other in others]
        raise ValueError(f"{self.file}: tells nothing of the time {begin}")


def _there_s() -> float | None:
    """Seconds that the processors were this machine's, mean of all, since it started; None if it does not tell."""
    try:
        with Path("/proc/stat").open() as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    return sum(ticks[:7]) / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)


def write_images(dataset: Dataset, folder: Path) -> None:
    """The train and validation images as PNG files, a folder for each class."""
    for part in ("train", "val"):
        split = getattr(dataset, part)
        for index, (image, label) in enumerate(zip(split.images, split.labels.tolist(), strict=True)):
            file = folder / part / dataset.class_names[label] / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)


def loader(dataset: Dataset, root: Path, training: bool, batch_size: int) -> Any:
    """timm's, over the images in `root`."""
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


def trainable(parameters: dict[str, Any], words: list[str], data_file: str, images: str) -> None:
    """One trial of the straightforward search."""
    import torch
    from ray import tune
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler

    from search_space import build, cost

    torch.set_num_threads(1)
    config, source = configs.load(STUDY, words)
    dataset = load(Path(data_file))
    space, train = space_on(config, source, describe(Path(data_file))), config.train
    architecture = space.decode(parameters)
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
            right = sum(int((network(batch).argmax(1) == labels).sum()) for batch, labels in validation)
    macs = float(cost(architecture).macs)
    tune.report({"accuracy": right / len(validation.dataset), "macs": macs, "ended": time.time()})


def straightforward(out: Path, seed: int, trials: int, data_file: Path, words: list[str]) -> Course:
    """Ray Tune with OptunaSearch; in a process of its own, for Ray's sake."""
    kept = out / f"straightforward-{seed}.json"
    if not kept.is_file():
        said = [str(kept), str(seed), str(trials), str(data_file), str(out / "images"), *words]
        subprocess.run([sys.executable, __file__, "--straightforward", *said], check=True)
    begun, rows = json.loads(kept.read_text())
    return begun, [(t, a, m) for t, a, m in rows]


def timed(clock: Clock, begun: float, course: History) -> History:
    """`course` by `clock`, from the time `begun` on."""
    seconds = clock.between(begun, [ended for ended, *_ in course])
    return [(one, accuracy, macs) for one, (_, accuracy, macs) in zip(seconds, course, strict=True)]


def define(space: SearchSpace, trial: Any) -> None:
    """Optuna's way to a space that arises as it is asked for."""
    space.suggest(trial)


def run_straightforward(kept: str, seed: str, trials: str, data_file: str, images: str, *words: str) -> None:
    begun = time.time()
    import optuna
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    config, source = configs.load(STUDY, words)
    space = space_on(config, source, describe(Path(data_file)))

    ray.init("local", num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, log_to_driver=False)
    search = OptunaSearch(
        partial(define, space),
        metric=["accuracy", "macs"],
        mode=["max", "min"],
        sampler=optuna.samplers.TPESampler(seed=int(seed)),
    )
    tuner = tune.Tuner(
        tune.with_parameters(trainable, words=list(words), data_file=data_file, images=images),
        tune_config=tune.TuneConfig(search_alg=search, num_samples=int(trials), max_concurrent_trials=None),
        run_config=tune.RunConfig(storage_path=f"{kept}.ray", verbose=0),
    )
    results = [result.metrics for result in tuner.fit() if result.metrics and "ended" in result.metrics]
    rows = sorted((m["ended"], m["accuracy"], m["macs"]) for m in results)
    Path(kept).write_text(json.dumps([begun, rows]))


def ours(out: Path, words: list[str]) -> Course:
    """`nas search` on the same study, in the folder `out`."""
    clock = out.with_suffix(".begun")
    if not clock.is_file():
        clock.write_text(str(time.time()))
    search(out, words)
    begun = float(clock.read_text())
    ended = [trial for trial in open_study(out).get_trials() if trial.state.name == "COMPLETE"]
    return begun, sorted((t.datetime_complete.timestamp(), t.values[0], t.values[1]) for t in ended)  # type: ignore[union-attr]


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Write the figure: hypervolume over seconds, a line for each search."""
    figure = go.Figure()
    apply_style(figure)
    for row in rows:
        bounds = Bounds.of([values for course in row["courses"] for _, *values in course], OBJECTIVES)
        for name, colour, course in zip(NAMES, COLOURS, row["courses"], strict=False):
            volumes = [hypervolume([v for _, *v in course[: i + 1]], OBJECTIVES, bounds) for i in range(len(course))]
            figure.add_scatter(
                x=[seconds for seconds, *_ in course],
                y=[volume / row["goal"] for volume in volumes],
                line={"color": colour, "shape": "hv"},
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=row is rows[0],
            )
    figure.add_hline(1, line={"dash": "dot", "width": 1})
    figure.update_xaxes(title_text="seconds", rangemode="tozero")
    figure.update_yaxes(title_text="hypervolume over the goal")
    corner = {"x": 0.98, "y": 0.04, "xanchor": "right", "yanchor": "bottom"}
    figure.update_layout(
        paper_bgcolor="#ffffff", height=400, width=840, legend=corner, margin={"t": 20, "r": 20, "b": 50}
    )
    file.write_text(
        figure.to_html(include_plotlyjs=True, config=PLOTLY_CONFIG | {"displayModeBar": False}), encoding="utf-8"
    )


def main() -> None:
    if sys.argv[1:2] == ["--straightforward"]:
        run_straightforward(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="images in a folder for each class")
    parser.add_argument("--out", type=Path, required=True, help="where the searches are kept")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--trials", type=int, default=60, help="of the straightforward search")
    parser.add_argument("--ours", type=int, default=30, help="trials of `nas search`")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--figure", type=Path, metavar="FILE.html", help="hypervolume over seconds")
    parser.add_argument("words", nargs="*", help="further key=value of `nas search`, such as scheduler.name=halving")
    given = parser.parse_args()
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    words = overrides_of(given.data, given.images, given.epochs)
    data_file = prepare(configs.load(STUDY, words)[0].data, out / "data").resolve()
    if not (out / "images").is_dir():
        write_images(load(data_file), out / "images")
    clock = Clock(out / "clock.txt")
    rows = []
    for seed in range(given.seeds):
        courses = (
            straightforward(out, seed, given.trials, data_file, words),
            ours(out / f"ours-{seed}", [*words, f"seed={seed}", f"trials={given.ours}", *given.words]),
        )
        plain, own = (timed(clock, *course) for course in courses)
        by_wall, by_wall_too = ([(t - begun, a, m) for t, a, m in course] for begun, course in courses)
        wall = compare(by_wall, by_wall_too, 1.0)
        rows.append({"seed": seed, **compare(plain, own, 1.0), "of_the_wall_clock": wall, "courses": [plain, own]})
        if not given.json:
            row = rows[-1]
            full, quick = row["seconds_to_goal"]
            by_wall = row["of_the_wall_clock"]
            print(
                f"seed {seed}: {row['wall_s'][0]:.0f} s for {len(plain)} trials, hypervolume {row['goal']:.4f} first after "
                f"{full:.0f} s; nas search has it after {quick:.0f} s ({row['wall_s'][0] / quick:.1f}x; by the wall-clock "
                f"{by_wall['wall_s'][0] / by_wall['seconds_to_goal'][1]:.1f}x); it ends with "
                f"{row['hypervolume'][1]:.4f} after {len(own)} trials and {row['wall_s'][1]:.0f} s",
                flush=True,
            )
    if given.figure is not None:
        draw(rows, given.figure)
    if given.json:
        print(json.dumps(rows, indent=2))
    else:
        ratios = [row["wall_s"][0] / row["seconds_to_goal"][1] for row in rows]
        print(f"median {median(ratios):.1f}x, from {np.min(ratios):.1f}x to {np.max(ratios):.1f}x")


if __name__ == "__main__":
    main()
