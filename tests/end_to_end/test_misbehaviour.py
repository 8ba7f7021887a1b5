"""Trials that raise, hang, crash, exit or take too much memory: each is recorded, and the search goes on to its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from nas.study.database.storage import open_study
from nas.study.outcomes.losses import losses_of

SCRIPT = Path(__file__).with_name("misbehaviour.py")

# Way to misbehave -> the recorded reason, the kind of the failure, and how often its worker was lost.
EXPECTED = {
    "nan": ("TrainingError: epoch 1, step 1: the loss is not finite, found nan", "loss not finite", 0),
    "unreadable": (
        "UnreadableError: its message cannot be read (ValueError)",
        "UnreadableError: its message cannot be read (ValueError)",
        0,
    ),
    "long_message": ("ValueError: xxxxx", "ValueError: xxxxx", 0),
    "sys_exit": ("SystemExit: 3", "SystemExit: N", 0),
    "interrupt": ("KeyboardInterrupt", "KeyboardInterrupt", 0),
    "memory": ("RuntimeError: [enforce fail at alloc_cpu.cpp", "out of memory", 0),
    "crash": ("the worker died: segmentation fault (signal 11), in ", "the worker crashed", 2),
    "hang": ("no progress for 0:00:08, in ", "no progress", 2),
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of the study, and the search."""
    folder = tmp_path_factory.mktemp("misbehaving") / "study"
    command = [sys.executable, str(SCRIPT), str(folder)]
    return folder, subprocess.run(command, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def trials(ended: tuple[Path, Any]) -> dict[Any, FrozenTrial]:
    """Each trial by the way in which it misbehaves; good ones by their kernel."""
    found: dict[Any, FrozenTrial] = {}
    for trial in open_study(ended[0]).get_trials():
        mixer = trial.user_attrs["architecture"]["stages"][0]["mixer"]
        found[list(EXPECTED)[mixer["way"]] if mixer["name"] == "misbehaving" else trial.number] = trial
    return found


def test_the_search_goes_on_to_its_end(ended: tuple[Path, Any], trials: dict[Any, FrozenTrial]) -> None:
    assert ended[1].returncode == 0, ended[1].stderr
    states = [trial.state for trial in trials.values()]
    assert states.count(TrialState.FAIL) == len(EXPECTED)
    assert states.count(TrialState.COMPLETE) == len(EXPECTED)


@pytest.mark.parametrize("way", EXPECTED)
def test_how_a_trial_has_failed_is_recorded(way: str, ended: tuple[Path, Any], trials: dict[Any, FrozenTrial]) -> None:
    reason, kind, losses = EXPECTED[way]
    attributes = trials[way].user_attrs
    assert attributes["failure"].startswith(reason)
    assert len(attributes["failure"]) < 500
    assert attributes["infeasible"].startswith(kind)
    assert len(losses_of(attributes)) == losses
    folder = ended[0] / "trials" / f"{trials[way].number:05d}"
    text = (folder / "error.txt").read_text()
    assert len(text) < 200_000
    assert ("in forward" in text) == (way != "nan")
    assert {file.name for file in folder.glob("*")} <= {"error.txt", "checkpoint.pt"}
