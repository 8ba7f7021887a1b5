"""What is logged, under the names of the modules; and that nothing is shown unless it is asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from torch import nn

from trainers.data.config import DataConfig
from trainers.data.dataset import Dataset
from trainers.data.prepared import prepare
from trainers.device_lock import DeviceLock
from trainers.training.config import TrainConfig
from trainers.training.loop import train


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def test_prepare_logs_whether_it_decoded_or_reused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="trainers.data.prepared")
    file = prepare(DataConfig(limit=100), tmp_path)
    prepare(DataConfig(limit=100), tmp_path)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"decoded source 'digits' (1797 train; 0 left out) into {file}"),
        ("DEBUG", f"reused the prepared images of source 'digits': {file}"),
    ]


def test_a_training_logs_that_it_resumed_or_ignored_a_checkpoint(
    few_digits: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="trainers.training.resumable")
    file = tmp_path / "checkpoint.pt"
    for seed in (0, 0, 1):
        train(network(), few_digits, TrainConfig(epochs=2), seed=seed, checkpoint=file, milestones=(2,))
    assert [record.getMessage() for record in caplog.records] == [
        f"resumed from {file} after epoch 2 of 2",
        f"ignored {file}: it is the checkpoint of another training",
    ]


def test_a_pause_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="trainers.device_lock")
    lock, other = DeviceLock("cpu", tmp_path), DeviceLock("cpu", tmp_path)
    held, release = threading.Event(), threading.Event()

    def measure() -> None:
        with other.exclusive():
            held.set()
            release.wait()

    thread = threading.Thread(target=measure)
    thread.start()
    held.wait()
    threading.Timer(0.05, release.set).start()
    start = time.perf_counter()
    with lock.shared():
        pass
    thread.join()
    assert 0.01 < lock.paused_s <= time.perf_counter() - start
    (record,) = caplog.records
    assert record.getMessage() == f"paused {lock.paused_s:.3f} s for a measurement on cpu"


def test_nothing_is_shown_by_default(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from trainers import DataConfig, prepare; "
        "prepare(DataConfig(limit=100), Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
