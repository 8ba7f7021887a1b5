"""A disk without room: one line, no trial fails by it, nothing half is left, and with room the search goes on.

The disk is a small tmpfs where this process may mount one; elsewhere a limit on the size of files stands for it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

NO_ROOM = ("No space left on device", "File too large", "database or disk is full", "disk I/O error")
STUDY = (
    "train.epochs=1",
    "resources.executor=local",
    "trials=6",
    "space.stages.0.width=[64,128]",
    "space.stages.1.width=[64,128]",
)


@dataclass(frozen=True)
class SmallDisk:
    """A folder on a disk with little room.

    Args:
        folder: the folder.
        limit_kib: the largest size of a file, where the disk itself is not small; None: the disk is.
    """

    folder: Path
    limit_kib: int | None

    def run(self, cli: Any, *words: object) -> subprocess.CompletedProcess[str]:
        """Run `nas` with little room: a limit on the size of files is that of a process."""
        if self.limit_kib is None:
            completed: subprocess.CompletedProcess[str] = cli.read(*words)
            return completed
        script = f'ulimit -f {2 * self.limit_kib}; exec "$@"'  # in blocks of 512 bytes
        command = ["sh", "-c", script, "sh", sys.executable, "-m", "nas.cli", *map(str, words)]
        return subprocess.run(
            command, cwd=cli.home, capture_output=True, text=True, timeout=cli.patience_s, check=False
        )

    def enlarge(self) -> None:
        """Make room; `cli` has no limit in any case."""
        if self.limit_kib is None:
            subprocess.run(["mount", "-o", "remount,size=64m", str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path, size_kib: int, limit_kib: int) -> Iterator[SmallDisk]:
    """A disk of `size_kib`, or else a limit of `limit_kib` on the size of a file."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(folder)]
    try:
        is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_mounted = False
    try:
        yield SmallDisk(folder, None if is_mounted else limit_kib)
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def one_line(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 1, run.stderr
    assert run.stdout == "" or run.stdout.startswith("data ")  # what the images were taken for
    assert run.stderr.startswith("nas: error: ")
    assert run.stderr.count("\n") == 1, run.stderr
    assert any(text in run.stderr for text in NO_ROOM), run.stderr


@pytest.mark.parametrize(
    ("name", "size_kib", "limit_kib", "workers"),
    [("weights", 1000, 240, 2), ("database", 300, 100, 1), ("limited", None, 240, 1)],
)
def test_a_full_disk_ends_the_search_and_with_room_it_goes_on(
    cli: Any, name: str, size_kib: int | None, limit_kib: int, workers: int
) -> None:
    disk_folder = cli.home / f"disk-{name}"
    if size_kib is None:  # the way of machines where no disk can be mounted
        disk_folder.mkdir()
        check_full_disk(cli, SmallDisk(disk_folder, limit_kib), workers)
        return
    with small_disk(disk_folder, size_kib, limit_kib) as disk:
        check_full_disk(cli, disk, workers)


def check_full_disk(cli: Any, disk: SmallDisk, workers: int) -> None:
    study = disk.folder / "study"
    command = ("search", "small.yaml", "--out", study, *STUDY, f"resources.workers={workers}")
    run = disk.run(cli, *command)
    one_line(run)
    before = cli.trials(str(study)) if (study / "study.db").exists() else []
    if before:
        assert f"the same command continues {study}" in run.stderr
    assert not any(trial.state == TrialState.FAIL and trial.user_attrs.get("failure") for trial in before)
    assert [file for file in study.rglob("*") if file.name.endswith((".tmp", ".new", "checkpoint.pt"))] == []

    disk.enlarge()
    run = cli.read(*command)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert len(cli.complete(str(study))) == 6
    assert json.loads(cli.read("status", study, "--json").stdout)["failures"] == []
    for trial in before:
        if trial.state == TrialState.COMPLETE:
            assert cli.trials(str(study))[trial.number].values == trial.values
    assert [file.name for file in study.rglob("error.txt")] == []
    assert len(list(study.rglob("model.safetensors"))) == 6


def test_a_full_disk_under_the_images_is_one_line_and_leaves_nothing(cli: Any) -> None:
    with small_disk(cli.home / "disk-images", 12, 4) as disk:
        study = disk.folder / "study"
        command = ("search", "small.yaml", "--out", study, *STUDY)
        run = disk.run(cli, *command)
        one_line(run)
        assert "data: " in run.stderr
        assert [path for path in study.rglob("*") if path.is_file() and path.name != "lock"] == []


def test_outputs_on_a_full_disk_are_one_line_and_leave_nothing(cli: Any) -> None:
    command = (
        "search",
        "small.yaml",
        "--out",
        "complete",
        *STUDY,
        "resources.workers=1",
        "trials=1",
        "space.stages.0.width=[128]",
    )
    assert cli.read(*command).returncode == 0
    with small_disk(cli.home / "disk-outputs", 8, 4) as disk:
        model, page = disk.folder / "model", disk.folder / "page.html"
        for words in (
            ("export", "complete", "0", "--out", model),
            ("report", "complete", "--out", page),
        ):
            run = disk.run(cli, *words)
            assert run.returncode == 1, run.stderr
            assert run.stderr.startswith("nas: error: ")
            assert run.stderr.count("\n") == 1
            assert any(text in run.stderr for text in NO_ROOM), run.stderr
        assert list(disk.folder.rglob("*")) == []
