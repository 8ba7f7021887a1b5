"""Trials on a GPU: trained and measured there, failures of the device told apart, memory given back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.evaluation.evaluator import Evaluator
from nas.evaluation.settings import EvaluationSettings, MeasuringSettings
from nas.study.outcomes.records import Completed, Failed, MachineFailure
from nas.study.outcomes.worker_tasks import TrialTask
from search_space import Architecture
from trainers.data.config import DataConfig
from trainers.data.prepared import prepare
from trainers.training.config import TrainConfig

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]
GIB = 2**30
SMALL_SHARE = 0.02
"""Of a GPU of at most 96 GB. With its gradients the large network has weights of 4 GB."""
HOLD = """
import sys, torch
held = torch.empty(int(sys.argv[1]), dtype=torch.uint8, device="cuda")
print("held", flush=True)
sys.stdin.read()
"""
ASSERT = """
import sys, torch
from nas.evaluation import evaluator as module
from nas.evaluation.evaluator import Evaluator
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from gpu_trial import settings, task

worker = Evaluator(settings(Path(sys.argv[2])), "cuda")
wrong = lambda *a: torch.zeros(3, device="cuda")[torch.tensor([7], device="cuda")].sum().item()
module.initial_network, right = wrong, module.initial_network
failed = worker.evaluate(task(Path(sys.argv[3])))
print(type(failed).__name__, failed.infeasible, worker._device_is_lost, flush=True)
module.initial_network = right
worker.run(task(Path(sys.argv[3])).to_dict())
print("still alive", flush=True)
"""


def architecture(width: int = 16) -> Architecture:
    stage = {"mixer": {"name": "conv", "k": 3, "groups": 1}, "width": width, "depth": 1}
    return Architecture.from_dict(
        {"stem": {"patch": 2}, "stages": [stage], "image_size": 8, "in_chans": 1, "num_classes": 10}
    )


def settings(data_file: Path, **changes: Any) -> EvaluationSettings:
    measuring = MeasuringSettings(("images_per_s", "latency_ms", "peak_memory_bytes"), batch_size=128)
    return EvaluationSettings(data_file, TrainConfig(epochs=2), measuring=measuring, **changes)


def task(folder: Path, width: int = 16) -> TrialTask:
    return TrialTask(7, architecture(width).to_json(), 1, str(folder))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(DataConfig(limit=300), tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def whole_gpu() -> Iterator[None]:
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_a_trial_is_measured_and_trained(digits: Path, tmp_path: Path) -> None:
    outcome = Evaluator(settings(digits, gpus=1.0), "cuda").evaluate(task(tmp_path))
    assert isinstance(outcome, Completed)
    assert outcome.measured.device == torch.cuda.get_device_name()
    assert all(outcome.measured.values[name] > 0 for name in ("images_per_s", "latency_ms", "peak_memory_bytes"))
    assert outcome.measured.details["throughput"].get("exclusive", True)
    assert len(outcome.trained.curve) == 2


def test_memory_is_given_back_after_a_trial(digits: Path, tmp_path: Path) -> None:
    worker = Evaluator(settings(digits, gpus=1.0), "cuda")
    held = []
    for number, width in enumerate((16, 1024, 16, 1024)):
        assert isinstance(worker.evaluate(task(tmp_path / str(number), width)), Completed)
        held.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    assert held[3][0] <= held[1][0]
    assert held[3][1] <= held[1][1]
    assert held[3][1] < GIB


def test_a_network_too_large_for_the_gpu_fails_alone(digits: Path, tmp_path: Path) -> None:
    worker = Evaluator(settings(digits, gpus=SMALL_SHARE), "cuda")
    outcome = worker.evaluate(task(tmp_path / "large", width=4096))
    assert isinstance(outcome, Failed)
    assert outcome.infeasible == "out of GPU memory"
    assert isinstance(worker.evaluate(task(tmp_path / "small")), Completed)


def test_memory_that_others_hold_is_not_the_networks_fault(digits: Path, tmp_path: Path) -> None:
    worker = Evaluator(settings(digits, gpus=1.0), "cuda")
    free, _ = torch.cuda.mem_get_info()
    command = [sys.executable, "-c", HOLD, str(free - 2 * GIB)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        outcome = worker.evaluate(task(tmp_path / "large", width=4096))
        other.communicate("")
    assert isinstance(outcome, MachineFailure)
    assert not outcome.is_certain
    assert isinstance(worker.evaluate(task(tmp_path / "small")), Completed)


def test_a_device_side_assert_is_the_networks_fault_and_ends_the_process(digits: Path, tmp_path: Path) -> None:
    here = Path(__file__)
    (tmp_path / "gpu_trial.py").write_bytes(here.read_bytes())
    command = [sys.executable, "-c", ASSERT, str(tmp_path), str(digits), str(tmp_path / "trial")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["Failed device-side assert True"], done.stderr[-2000:]
    assert done.returncode == 1
