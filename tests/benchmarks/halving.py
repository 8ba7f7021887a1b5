"""Wall-clock time to a hypervolume, with and without successive halving, on a real study.

    python tests/benchmarks/halving.py --data CIFAR10_FOLDER --out runs/halving

For each seed `nas search` searches the same space twice: once it trains every architecture to the end, once it uses
multi-objective halving, with as many more architectures as the same number of epochs allows. The target is a share of the final
hypervolume of (accuracy, MACs) of the full search, in one box for both. The time to the target counts from the first trial.
Prints a line per seed, and with `--json` all figures.
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
from nas.study.database.storage import open_study

STUDY = Path(__file__).parents[2] / "studies/cifar10.yaml"
OBJECTIVES = [objectives.get("accuracy"), objectives.get("macs")]
History = list[
    tuple[float, float, float]
]  # (seconds since the start of the first trial, accuracy, macs) of complete trials


def overrides_of(data: Path, images: int, epochs: int) -> list[str]:
    """The overrides of the study for `images` images from the folder `data` and `epochs` epochs."""
    return [f"data.path={data.resolve()}", f"data.limit={images}", f"train.epochs={epochs}"]


def search(folder: Path, overrides: list[str], study: Path = STUDY) -> None:
    """Run or resume the `study` in `folder`."""
    command = [sys.executable, "-m", "nas.cli", "search", str(study), "--out", str(folder), *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def read_history(folder: Path) -> History:
    """The complete trials of a study in the order in which they ended."""
    trials = open_study(folder).get_trials()
    start = min(trial.datetime_start for trial in trials if trial.datetime_start)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE" and trial.datetime_complete]
    rows = [((t.datetime_complete - start).total_seconds(), t.values[0], t.values[1]) for t in complete]  # type: ignore[operator]
    return sorted(rows)


def seconds_to(target: float, history: History, bounds: Bounds) -> float:
    """Seconds until the front first has the hypervolume `target`; infinite if it never has."""
    for count in range(1, len(history) + 1):
        if hypervolume([values for _, *values in history[:count]], OBJECTIVES, bounds) >= target:
            return history[count - 1][0]
    return float("inf")


def compare(full: History, halved: History, share: float) -> dict[str, Any]:
    """The figures of one seed."""
    bounds = Bounds.of([values for _, *values in full + halved], OBJECTIVES)
    final = [hypervolume([values for _, *values in history], OBJECTIVES, bounds) for history in (full, halved)]
    target = share * final[0]
    times = [seconds_to(target, history, bounds) for history in (full, halved)]
    return {
        "hypervolume": final,
        "complete_trials": [len(full), len(halved)],
        "total_s": [full[-1][0], halved[-1][0]],
        "target": target,
        "seconds_to_target": times,
        "speed_up": times[0] / times[1],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="images in a folder for each class")
    parser.add_argument("--out", type=Path, required=True, help="where the studies are kept")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--trials", type=int, default=24, help="architectures of the full search")
    parser.add_argument("--more", type=float, default=1.8, help="factor of architectures with halving")
    parser.add_argument("--reduction", type=int, default=3)
    parser.add_argument("--first-epochs", type=int, help="the first rung")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--share", type=float, default=0.98, help="target, as a share of the full search's final hypervolume"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(args.seeds):
        histories: list[History] = []
        for scheduler, trials in (("none", args.trials), ("halving", round(args.more * args.trials))):
            folder = args.out / f"{scheduler}-{seed}"
            overrides = overrides_of(args.data, args.images, args.epochs)
            overrides += [f"seed={seed}", f"trials={trials}", f"scheduler.name={scheduler}"]
            overrides += [f"scheduler.reduction={args.reduction}"]
            overrides += [] if args.first_epochs is None else [f"scheduler.first_epochs={args.first_epochs}"]
            search(folder, overrides)
            histories.append(read_history(folder))
        rows.append({"seed": seed, **compare(histories[0], histories[1], args.share)})
        if not args.json:
            row = rows[-1]
            full, halved = row["seconds_to_target"]
            print(
                f"seed {seed}: {full:6.0f} s in full, {halved:6.0f} s with halving to hypervolume {row['target']:.4f}: "
                f"{row['speed_up']:.2f}x; at the end {row['hypervolume'][0]:.4f} after {row['total_s'][0]:.0f} s, "
                f"{row['hypervolume'][1]:.4f} after {row['total_s'][1]:.0f} s",
                flush=True,
            )
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        speed_ups = [row["speed_up"] for row in rows]
        print(f"median speed-up {median(speed_ups):.2f}x, from {np.min(speed_ups):.2f}x to {np.max(speed_ups):.2f}x")


if __name__ == "__main__":
    main()
