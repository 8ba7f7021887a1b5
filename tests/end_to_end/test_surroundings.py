"""A search in hard surroundings: long TMPDIR, no home, a folder that its ASCII locale cannot name, few descriptors, no stdin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nas.execution.executors.ray_tune.temporary_folder import PREFIX

STUDY = """\
trials: 10
data: {source: digits, limit: 300}
space:
  stem: {patch: 4}
  stages: [{mixer: {conv: {k: [3, 5]}}, width: 8, depth: 1}]
train: {epochs: 1}
objectives: [accuracy, macs, params, activation_bytes]
"""


def test_a_search_runs_ends_with_a_reason_and_leaves_no_temporary_files(cli: Any) -> None:
    home = cli.home / "bücher"  # which Ray is told, and takes in UTF-8 only
    home.mkdir()
    (home / "tiny.yaml").write_text(STUDY)
    long = cli.home / ("x" * 90)
    long.mkdir()
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as short:
        environment = {
            **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "RAY_TMPDIR")},
            **{"TMPDIR": str(long), "TEMP": short, "HOME": "/dev/null/home"},
            **{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
        }
        command = [sys.executable, "-m", "nas.cli", "search", "tiny.yaml", "--out", "tiny runs", "resources.workers=1"]
        shell = ["sh", "-c", 'umask 077; ulimit -n 512; exec "$@" <&-', "sh", *command]
        leave_a_killed_search(shell, home, environment, Path(short))
        ended = subprocess.run(shell, cwd=home, env=environment, capture_output=True, text=True, timeout=600)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert list(Path(short).iterdir()) == []  # nor the folder of the killed search
    assert "2 complete" in ended.stdout
    assert "every architecture of the space was tried (2 in all)" in ended.stdout
    assert [place.name for place in long.iterdir()] == [f"mixfront-{os.getuid()}"]  # the lock of the device
    assert (home / "tiny runs" / "study.db").stat().st_mode & 0o077 == 0

    again = cli.read("search", "bücher/tiny.yaml", "--out", "bücher/tiny runs", "trials=20")
    assert again.returncode == 0
    assert "every architecture of the space was tried (2 in all)" in again.stdout
    assert "already has" not in again.stdout


def leave_a_killed_search(command: list[str], home: Path, environment: dict[str, str], parent: Path) -> None:
    """Start a search and kill it with all its processes as soon as Ray has its temporary folder."""
    process = subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    end = time.monotonic() + 300
    while not list(parent.glob(f"{PREFIX}*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert list(parent.glob(f"{PREFIX}*"))
