"""The segments of a trial: which worker trained it, when, and how the time was spent.

A segment is the training between two rungs, or the whole training without a scheduler. A trial has one entry for each
attempt, also where it failed or was refused. The user attribute `segments` holds them in order:

- `end` is null while the segment runs. A segment without `end` that is not the last of a running trial, or of a study that no
  search runs in, was lost with its worker; the driver also writes the outcome "lost" once it notices.
- Times are seconds since 1970 by the clock of the worker's machine, so those of two nodes differ by the error of their clocks.

Workers announce the segment that they start in a file each (`WorkerFiles`), and send it with the record of the outcome. A
driver that reads the files knows which worker trains what, also if that worker dies.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainers.files import atomic_write
from trainers.input_files import read_json

logger = logging.getLogger(__name__)

SEGMENTS = "segments"
"""The user attribute of a trial."""

SEGMENT = "segment"
"""The key of a worker's record that holds the segment."""

STOP = "stop"
"""The file in the folder of workers by which the driver asks them to stop."""

MAX_TIME_S = 1e11
"""A time after it, in the year 5138, is none."""

LOST = "lost"
"""The outcome of a segment whose worker died."""


@dataclass(frozen=True)
class Segment:
    """A segment.

    Args:
        worker: "HOST/DEVICE/PID", such as "node3/cuda:1/4711".
        start: seconds since 1970.
        end: seconds since 1970; None: it runs, or was lost.
        measure_s: seconds of measuring before training.
        train_s: seconds of training steps.
        validate_s: seconds of validation.
        until: the epoch up to which it trains (a rung, or the last); None without a scheduler.
        outcome: "completed", "paused", "refused", "failed", "measured" (without training), "machine_failure", "interrupted" or
            "lost"; None: it runs.
    """

    worker: str
    start: float
    end: float | None = None
    measure_s: float = 0.0
    train_s: float = 0.0
    validate_s: float = 0.0
    until: int | None = None
    outcome: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON with the names of the fields; times in milliseconds' precision."""
        values = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in values}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Segment:
        """The inverse of `to_dict`; keys that this version does not know are ignored."""
        return cls(**{name: plain[name] for name in cls.__dataclass_fields__ if name in plain})

    def is_same(self, other: Segment) -> bool:
        """True if `other` is the same segment at another moment."""
        return self.worker == other.worker and abs(self.start - other.start) < 1e-3

    @property
    def host(self) -> str:
        """The name of the worker's machine."""
        return self.worker.split("/")[0]

    @property
    def device(self) -> str:
        """The device of the worker: "cpu", "cuda:1"."""
        return [*self.worker.split("/"), ""][1]

    def lost(self) -> Segment:
        """The segment after its worker died."""
        return replace(self, outcome=LOST)


def segments_of(attributes: Mapping[str, Any]) -> list[Segment]:
    """The segments in the user attributes of a trial; none in studies of earlier versions."""
    return [Segment.from_dict(plain) for plain in attributes.get(SEGMENTS) or []]


def is_time(value: object) -> bool:
    """True if `value` can be seconds since 1970."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MAX_TIME_S


class WorkerFiles:
    """A file for each worker of a running search, with the segment that it has started last.

    Args:
        folder: `DIR/workers`; the driver writes there for workers that do not see it (`nas.evaluation.trial_files`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def opened(self, nonce: str) -> Iterator[None]:
        """The folder exists within this block, first without the files that a killed driver may have left.

        Args:
            nonce: the name of a file in it, by which a worker recognises the folder (`nas.evaluation.place`).
        """
        if self.folder.is_symlink():
            self.folder.unlink()  # what it leads to is not ours
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / nonce).touch()
        try:
            yield
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def announce(self, trial: int, segment: Segment) -> None:
        """Write that `segment` of the trial number `trial` starts. A disk that does not take it is no reason to fail."""
        file = self.folder / f"{segment.worker.replace('/', '_')}.json"
        try:
            with atomic_write(file) as draft:
                draft.write_text(json.dumps({"trial": trial, SEGMENT: segment.to_dict()}))
        except OSError as error:
            logger.info("trial %d: its worker cannot be announced: %s", trial, error)

    def request_stop(self) -> None:
        """Ask the workers to write their checkpoints and to stop.

        Raises:
            OSError: the disk is full or broken.
        """
        (self.folder / STOP).touch()

    def is_stop_requested(self) -> bool:
        """Whether the driver has called `request_stop`."""
        return (self.folder / STOP).exists()

    def read(self) -> Iterator[tuple[int, Segment]]:
        """Each announced segment and the number of its trial."""
        try:
            files = sorted(self.folder.glob("*.json"))
        except OSError:
            return
        for file in files:
            try:
                plain = read_json(file)
                trial, segment = int(plain["trial"]), Segment.from_dict(plain[SEGMENT])
            except (
                OSError,
                ValueError,
                KeyError,
                TypeError,
                AttributeError,
                OverflowError,
            ):  # being removed, or damaged
                continue
            if isinstance(segment.worker, str) and is_time(segment.start):
                yield trial, segment
