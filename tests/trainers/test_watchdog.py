"""A process that makes no progress ends, wherever it hangs, and leaves its stacks; one that makes progress does not."""

from __future__ import annotations

import faulthandler
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainers.watchdog import report_progress, watch

PROGRAM = """
import ctypes, re, sys, threading, time
from pathlib import Path
from trainers.watchdog import report_progress, watch

def hang():
    {hang}

with watch(Path(sys.argv[1]), 0.5):
    for _ in range(20):
        time.sleep(0.05)
        report_progress()
    print("made progress", flush=True)
    hang()
"""
HANGS = {
    "python": "while True: pass",
    "waiting": "threading.Event().wait()",
    "c_with_the_interpreter_lock": "re.match('(a*)*b', 'a' * 60)",
    "c_without_it": "ctypes.CDLL(None).pause()",
}


def run(hang: str, stacks: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(hang=hang), str(stacks)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("hang", HANGS)
def test_a_process_that_hangs_ends_and_leaves_its_stack(hang: str, tmp_path: Path) -> None:
    ended = run(HANGS[hang], tmp_path / "stacks.txt")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "made progress\n", "")
    text = (tmp_path / "stacks.txt").read_text()
    assert text.startswith("Timeout")
    assert "in hang" in text


def test_a_process_that_crashes_leaves_its_stack(tmp_path: Path) -> None:
    ended = run("ctypes.string_at(0)", tmp_path / "stacks.txt")
    assert ended.returncode == -signal.SIGSEGV
    text = (tmp_path / "stacks.txt").read_text()
    assert text.startswith("Fatal Python error: Segmentation fault")
    assert "in hang" in text


def test_nothing_is_left_of_a_block_that_ends(tmp_path: Path) -> None:
    stacks = tmp_path / "new" / "stacks.txt"
    before = faulthandler.is_enabled()
    with watch(stacks, 1000):
        assert stacks.exists()
        report_progress()
    assert not stacks.exists()
    assert faulthandler.is_enabled() == before
    report_progress()
