"""A file of results, a line for each run, to which runs are appended as they end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from search_suite.simulation import Run

Key = tuple[str, str, str, int, int, int]


def key_of(run: Run) -> Key:
    """What tells a run from others."""
    return run.problem, run.sampler, run.label, run.workers, run.seed, run.trainings


def read_runs(files: Iterable[Path]) -> list[Run]:
    """The runs in `files`; of two with the same key the later one. A line that a kill cut off is left out."""
    runs: dict[Key, Run] = {}
    for file in files:
        for line in file.read_text().splitlines() if file.is_file() else []:
            try:
                run = Run.from_dict(json.loads(line))
            except json.JSONDecodeError:
                continue
            runs[key_of(run)] = run
    return list(runs.values())


def append_run(file: Path, run: Run) -> None:
    """Add a line to `file`."""
    text = json.dumps(run.to_dict(), separators=(",", ":")) + "\n"
    with file.open("a+b") as stream:
        if stream.tell() and not _ends_with_newline(file):
            text = "\n" + text
        stream.write(text.encode())


def _ends_with_newline(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-1, 2)
        return stream.read(1) == b"\n"
