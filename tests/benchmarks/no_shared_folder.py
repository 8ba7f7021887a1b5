"""Bytes and seconds per trial, of workers that share the study's folder and of workers that do not.

    python tests/benchmarks/no_shared_folder.py [--megabytes 500] [--trials 4] [--repeats 3] [--folder FOLDER] [--json]

Three modes run in turn, each in a new study on the same decoded images, with one worker, which is an actor of a private Ray:

    shared  the worker sees the study's folder
    driver  it does not: images, checkpoints and weights travel through Ray from and to the driver's folder
    url     it does not: they travel from and to a `file://` URL

All of it is one machine, so no network is measured but what Ray and the copies cost; the images are in the page cache. `start`
is the time to create a worker whose libraries are imported: it fetches the images in the latter two modes, verifies them and
maps them. A trial is measured in the worker: `between` is the part of its time that is not training or validation. Medians of
all repeats. Trials and values of the three modes must be equal.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.driver.run import run_search
from nas.evaluation.factory import EvaluatorFactory
from nas.execution.base import Executor, Result, Task, TaskSource, WorkerFactory, WorkerSite
from nas.execution.driver_files import DriverFiles, FileStat
from nas.execution.resources import Allocation
from nas.study.config import StudyConfig
from nas.study.outcomes.record_json import from_record
from nas.study.outcomes.records import Completed
from trainers.data.config import DataConfig
from trainers.data.prepared import prepare
from trainers.data.sources.base import Source, register
from trainers.data.summary import summarize_arrays
from trainers.data.types import DecodedData, LabeledImages, LocatedData, Part, ReadContext, SourceRequest
from trainers.data.verification import verify

SIZE = 224
CLASSES = 10
TRAINED_IMAGES = 200
"""All others are the test split, which a search does not use: the trainings are to be short."""
MODES = ("shared", "driver", "url")
STUDY = f"""\
data: {{source: noise}}
space:
  image_size: {SIZE}
  stem: {{patch: 32}}
  stages: [{{mixer: {{conv: {{k: [3, 5, 7]}}, pool: null}}, depth: [1, 2], width: [128, 192, 256]}}]
train: {{epochs: 3, batch_size: 32}}
objectives: [accuracy, macs]
"""


@dataclass(frozen=True)
class Noise(Source):
    """Images of coloured noise with a bright square whose place is the class."""

    count: int = 0

    def locate(self, request: SourceRequest) -> LocatedData:
        return LocatedData(f"noise {self.count}", partial(_draw, self.count), self.count)


def _draw(count: int, context: ReadContext) -> DecodedData:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    images = rng.integers(0, 200, (count, 3, SIZE, SIZE), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 20 * label : 20 * label + 20, :40] = 255
    parts: dict[Part, LabeledImages] = {
        "train": LabeledImages(images[:TRAINED_IMAGES], labels[:TRAINED_IMAGES]),
        "test": LabeledImages(images[TRAINED_IMAGES:], labels[TRAINED_IMAGES:]),
    }
    names = tuple(map(str, range(CLASSES)))
    return DecodedData("noise", names, parts, summaries=summarize_arrays(parts, (SIZE, SIZE), "RGB"))


class CountedFiles:
    """The driver's files, with a count of the bytes that were read and written."""

    def __init__(self, files: DriverFiles) -> None:
        self.files = files
        self.read_bytes = self.written_bytes = 0

    def stat(self, name: str) -> FileStat | None:
        return self.files.stat(name)

    def read(self, name: str, offset: int, size: int) -> bytes:
        content = self.files.read(name, offset, size)
        self.read_bytes += len(content)
        return content

    def write(self, name: str, content: bytes, offset: int, is_last: bool, digest: str) -> None:
        self.written_bytes += len(content)
        self.files.write(name, content, offset, is_last, digest)

    def remove(self, name: str) -> None:
        self.files.remove(name)


class Machine:
    """A worker in a process of its own."""

    def __init__(self, folder: str) -> None:
        import nas.evaluation.evaluator  # noqa: F401 (its import is not measured)

        tempfile.tempdir = folder
        self.files: CountedFiles | None = None

    def start(self, make_worker: WorkerFactory, files: DriverFiles) -> tuple[float, int]:
        """Create the worker; returns the seconds that it took and the bytes that were read."""
        self.files = CountedFiles(files)
        start = time.perf_counter()
        self.worker = make_worker(WorkerSite("cpu", self.files))
        return time.perf_counter() - start, self.files.read_bytes

    def run(self, payload: dict[str, Any]) -> tuple[Mapping[str, Any], float, int, int]:
        """The result of a task, its seconds, and the bytes that it read and wrote."""
        assert self.files is not None
        before = self.files.read_bytes, self.files.written_bytes
        start = time.perf_counter()
        result = self.worker.run(payload)
        seconds = time.perf_counter() - start
        return result, seconds, self.files.read_bytes - before[0], self.files.written_bytes - before[1]


class OneActor(Executor):
    """Runs tasks in one actor of Ray.

    Args:
        mode: one of `MODES`.
        folder: for the temporary folder of the machine.
    """

    allocation = Allocation(1, 1, 0.0)

    def __init__(self, mode: str, folder: Path) -> None:
        self.mode = mode
        self.folder = folder
        self.start: tuple[float, int] = (0.0, 0)
        self.trials: list[dict[str, float]] = []

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        import ray

        from nas.execution.executors.ray_tune.depot import DepotFiles, open_depot

        assert folder is not None
        assert isinstance(make_worker, EvaluatorFactory)
        settings = make_worker.settings
        assert settings.place is not None
        if self.mode != "shared":
            place = replace(settings.place, folder=Path("/proc/no/study"))
            settings = replace(settings, data_file=Path("/proc/no") / settings.data_file.name, place=place)
        self.folder.mkdir()
        depot = open_depot(folder)
        machine = ray.remote(num_cpus=1)(Machine).remote(str(self.folder))
        self.start = ray.get(machine.start.remote(EvaluatorFactory(settings), DepotFiles(depot)))
        while isinstance(task := source.next_task(), Task):
            source.on_started(task)
            result, seconds, read, written = ray.get(machine.run.remote(dict(task.payload)))
            outcome = from_record(result)
            assert isinstance(outcome, Completed), outcome
            trained = sum(epoch["wall_s"] for epoch in outcome.trained.curve)
            self.trials.append({"s": seconds, "between_s": seconds - trained, "read": read, "written": written})
            source.on_ended(task, result)
            source.tick()
        ray.kill(machine)
        ray.kill(depot)

    def call(self, function: Callable[..., Result], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Result:
        return function(*arguments, "cpu")


def measure(mode: str, images: Path, folder: Path, trials: int) -> tuple[OneActor, list[Any]]:
    """Run a search of `mode` in the new `folder`; returns what was measured, and the values of the trials."""
    (folder / "study" / "data").mkdir(parents=True)
    os.link(images, folder / "study" / "data" / images.name)
    (folder / "study.yaml").write_text(STUDY)
    words = [f"files=file://{folder}/elsewhere"] if mode == "url" else []
    executor = OneActor(mode, folder / "machine")

    @contextmanager
    def opened() -> Iterator[Executor]:
        yield executor

    config = StudyConfig.from_file(folder / "study.yaml", f"trials={trials}", *words)
    study = run_search(config, folder / "study", open_with=opened).study
    return executor, [trial.values for trial in study.trials]


@contextmanager
def private_ray() -> Iterator[None]:
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ |= {"RAY_enable_worker_prestart": "0", "RAY_memory_monitor_refresh_ms": "0", "RAY_worker_niceness": "0"}
    import ray

    ray.init("local", include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level=logging.CRITICAL)
    try:
        yield
    finally:
        ray.shutdown()


def time_verification(images: Path) -> tuple[float, float]:
    """Seconds to verify the file, and to see that it was verified."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        before, tempfile.tempdir = tempfile.tempdir, folder
        for _ in range(2):
            start = time.perf_counter()
            verify(images)
            seconds.append(time.perf_counter() - start)
        tempfile.tempdir = before
    return seconds[0], seconds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="for all files; by default a temporary one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    count = max(2 * TRAINED_IMAGES, options.megabytes * 1_000_000 // (3 * SIZE * SIZE))
    register(Noise(name="noise", path="none", augment="none", count=count))
    runs: dict[str, list[OneActor]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        images = prepare(DataConfig(source="noise"), Path(root) / "data")
        verification = time_verification(images)
        print(f"{images.stat().st_size / 1e6:.0f} MB decoded; verified in {verification[0]:.2f} s, "
              f"seen to be verified in {1e3 * verification[1]:.1f} ms", file=sys.stderr)  # fmt: skip
        with private_ray():
            expected: list[Any] = []
            for repeat in range(options.repeats):
                for mode in MODES:
                    executor, values = measure(mode, images, Path(root) / f"{mode}{repeat}", options.trials)
                    expected = expected or values
                    assert values == expected, "the modes differ"
                    runs[mode].append(executor)
                    print(repeat, mode, f"{executor.start[0]:.2f} s", executor.trials, file=sys.stderr)
    table = {mode: summarize(runs[mode]) for mode in MODES}
    if options.json:
        print(json.dumps(table, indent=1))
        return
    print(f"{'':8} {'start s':>8} {'start MB':>9} {'trial s':>8} {'between s':>10} {'in MB':>7} {'out MB':>7}")
    for mode, row in table.items():
        print(f"{mode:8} {row['start_s']:8.2f} {row['start_mb']:9.1f} {row['trial_s']:8.2f} "
              f"{row['between_s']:10.3f} {row['in_mb']:7.2f} {row['out_mb']:7.2f}")  # fmt: skip


def summarize(runs: list[OneActor]) -> dict[str, float]:
    """The medians of `runs`."""
    trials = [trial for run in runs for trial in run.trials]

    def median(name: str) -> float:
        return statistics.median(trial[name] for trial in trials)

    return {
        "start_s": statistics.median(run.start[0] for run in runs),
        "start_mb": statistics.median(run.start[1] / 1e6 for run in runs),
        "trial_s": median("s"),
        "between_s": median("between_s"),
        "in_mb": median("read") / 1e6,
        "out_mb": median("written") / 1e6,
    }


if __name__ == "__main__":
    main()
