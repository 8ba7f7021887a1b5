"""Wall-clock to a hypervolume, with and without successive halving, on a real study.

    python tests/benchmarks/halving.py --data CIFAR10_FOLDER --out runs/halving

For each seed the same space is searched twice by `nas search`, once training every architecture to the end, once with
multi-objective halving (as many more architectures as the same epochs pay for). The goal is a share of the hypervolume of
(accuracy, MACs) that the full search ends with, in one box for both; the time is that until the study's front has it,
from its first trial on. Prints a table, and with `--json` all figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from nas import objectives
from nas.analysis.front import Bounds, hypervolume
from nas.study.storage import open_study

STUDY = Path(__file__).parents[2] / "studies/cifar10.yaml"
OBJECTIVES = [objectives.get("accuracy"), objectives.get("macs")]
History = list[tuple[float, float, float]]  # (seconds since the first trial began, accuracy, macs) of whole trainings


def words_of(data: Path, images: int, epochs: int) -> list[str]:
    """What the study is told of so many of the images in the folder `data`."""
    return [f"data.path={data.resolve()}", f"data.limit={images}", f"train.epochs={epochs}"]


def search(folder: Path, words: list[str]) -> None:
    """Run the study in `folder`, or go on with it."""
    command = [sys.executable, "-m", "nas.cli", "search", str(STUDY), "--out", str(folder), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def history(folder: Path) -> History:
    """The whole trainings of a study in the order of their ends."""
    trials = open_study(folder).get_trials()
    begin = min(trial.datetime_start for trial in trials if trial.datetime_start)
    ended = [trial for trial in trials if trial.state.name == "COMPLETE" and trial.datetime_complete]
    found = [((t.datetime_complete - begin).total_seconds(), t.values[0], t.values[1]) for t in ended]  # type: ignore[operator]
    return sorted(found)


def seconds_to(goal: float, course: History, bounds: Bounds) -> float:
    """When the front first had the hypervolume `goal`; infinite if never."""
    for count in range(1, len(course) + 1):
        if hypervolume([values for _, *values in course[:count]], OBJECTIVES, bounds) >= goal:
            return course[count - 1][0]
    return float("inf")


def compare(full: History, halved: History, share: float) -> dict[str, Any]:
    """The figures of one seed."""
    bounds = Bounds.of([values for _, *values in full + halved], OBJECTIVES)
    ends = [hypervolume([values for _, *values in course], OBJECTIVES, bounds) for course in (full, halved)]
    goal = share * ends[0]
    times = [seconds_to(goal, course, bounds) for course in (full, halved)]
    return {
        "hypervolume": ends,
        "whole_trainings": [len(full), len(halved)],
        "wall_s": [full[-1][0], halved[-1][0]],
        "goal": goal,
        "seconds_to_goal": times,
        "speed_up": times[0] / times[1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="images in a folder for each class")
    parser.add_argument("--out", type=Path, required=True, help="where the studies are kept")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--trials", type=int, default=24, help="architectures of the full search")
    parser.add_argument("--more", type=float, default=1.8, help="times as many with halving")
    parser.add_argument("--reduction", type=int, default=3)
    parser.add_argument("--first-epochs", type=int, help="the first rung")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.98, help="of the full search's last hypervolume: the goal")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(given.seeds):
        courses: list[History] = []
        for scheduler, trials in (("none", given.trials), ("halving", round(given.more * given.trials))):
            folder = given.out / f"{scheduler}-{seed}"
            words = words_of(given.data, given.images, given.epochs)
            words += [f"seed={seed}", f"trials={trials}", f"scheduler.name={scheduler}"]
            words += [f"scheduler.reduction={given.reduction}"]
            words += [] if given.first_epochs is None else [f"scheduler.first_epochs={given.first_epochs}"]
            search(folder, words)
            courses.append(history(folder))
        rows.append({"seed": seed, **compare(courses[0], courses[1], given.share)})
        if not given.json:
            row = rows[-1]
            full, halved = row["seconds_to_goal"]
            print(
                f"seed {seed}: {full:6.0f} s in full, {halved:6.0f} s halved to hypervolume {row['goal']:.4f}: "
                f"{row['speed_up']:.2f}x; at the end {row['hypervolume'][0]:.4f} after {row['wall_s'][0]:.0f} s, "
                f"{row['hypervolume'][1]:.4f} after {row['wall_s'][1]:.0f} s",
                flush=True,
            )
    if given.json:
        print(json.dumps(rows, indent=2))
    else:
        speed_ups = [row["speed_up"] for row in rows]
        print(f"median speed-up {median(speed_ups):.2f}x, from {np.min(speed_ups):.2f}x to {np.max(speed_ups):.2f}x")


if __name__ == "__main__":
    main()
