"""Two processes of `torchrun` train as one does with the same batches, and resume as one does."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trainers.data.dataset import Dataset
from trainers.errors import RecipeError
from trainers.training.data_parallel import Processes
from trainers.training.recipe import RecipeTraining
from trainers.training.recipe_batches import recipe_batches
from trainers.training.recipe_config import RecipeConfig


class Observer(nn.BatchNorm1d):
    """Keeps the statistics of what passes, and changes nothing."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        super().forward(value.detach())
        return value


def tiny() -> nn.Module:
    """A small network whose outputs depend on no statistics of batches, the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)]
        return nn.Sequential(*layers, Observer(10, affine=False))


FIELDS: dict[str, Any] = {
    "epochs": 3, "batch_size": 31, "warmup_epochs": 1, "augment": "standard", "cutmix": 1.0, "ema": 0.9, "accumulate": 2,
    "validate_every": 1,
}  # fmt: skip

# Each process trains; the second has other initial weights, which must not matter. With a third word it stops after some steps.
PROGRAM = f"""
import json, sys
from pathlib import Path
import torch
from torch import distributed, nn
from trainers.data.dataset import load
from trainers.errors import TrainingInterrupted
from trainers.training.recipe import RecipeTraining
from trainers.training.recipe_config import RecipeConfig

{inspect.getsource(Observer)}
{inspect.getsource(tiny)}
torch.set_num_threads(1)
distributed.init_process_group("gloo")
rank = distributed.get_rank()
net = tiny()
if rank == 1:
    with torch.no_grad():
        net[0].weight.add_(1.0)
folder, steps = Path(sys.argv[2]), int(sys.argv[3])
file = folder / "checkpoint.pt" if rank == 0 else folder / "nowhere" / "checkpoint.pt"
left = iter(range(steps))
stop = (lambda: next(left, None) is None) if rank == 1 else (lambda: False)
recipe = RecipeConfig.model_validate(json.loads(sys.argv[4]))
training = RecipeTraining(net, load(Path(sys.argv[1])), recipe, seed=5, checkpoint=file, is_stop_requested=stop)
try:
    history = [epoch.to_dict() for epoch in training.epochs()]
    weights = {{name: value.tolist() for name, value in training.model.state_dict().items()}}
    (folder / f"{{rank}}.json").write_text(json.dumps([history, weights]))
except TrainingInterrupted:
    pass
distributed.destroy_process_group()
"""


def run(data_file: Path, folder: Path, steps: int) -> None:
    """Two processes of the program."""
    (folder / "program.py").write_text(PROGRAM)
    words = ["--standalone", "--nproc-per-node=2", str(folder / "program.py"), str(data_file), str(folder), str(steps)]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words, json.dumps(FIELDS)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def metrics(history: list[dict[str, Any]]) -> list[float]:
    """The metrics of each epoch without the seconds."""
    return [epoch[name] for epoch in history for name in ("train_loss", "val_loss", "val_accuracy", "lr")]


def test_two_processes_train_as_one(few_digits: Dataset, few_digits_file: Path, tmp_path: Path) -> None:
    one = RecipeTraining(tiny(), few_digits, RecipeConfig.model_validate(FIELDS), seed=5)
    expected = [epoch.to_dict() for epoch in one.epochs()]
    run(few_digits_file, tmp_path, steps=0)  # stops at the first agreement, within the second epoch
    assert (tmp_path / "checkpoint.pt").is_file()
    assert not (tmp_path / "0.json").exists()
    run(few_digits_file, tmp_path, steps=10_000)
    (history, weights), (other_history, other_weights) = (
        json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)
    )
    assert metrics(history) == pytest.approx(metrics(expected), rel=1e-4)
    assert metrics(history) == metrics(other_history)
    assert weights == other_weights
    for name, value in one.model.state_dict().items():
        if "running" in name or "batches" in name:  # means of parts of batches
            continue
        torch.testing.assert_close(torch.tensor(weights[name]), value, rtol=1e-3, atol=1e-4)


def test_one_process_changes_nothing() -> None:
    alone = Processes.current()
    assert alone == Processes(0, 1)
    batch = torch.ones(4, 2)
    assert alone.own_part(batch) is batch
    state = torch.get_rng_state()
    alone.seed_dropout(1, 2, 3)
    alone.sum([batch])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(batch, torch.ones(4, 2))
    net = nn.BatchNorm2d(3)
    assert alone.synchronise(net) is net


def test_every_process_has_another_part() -> None:
    batch = torch.arange(7)
    assert torch.equal(torch.cat([Processes(rank, 3).own_part(batch) for rank in range(3)]), batch)


def test_parts_are_not_too_small(few_digits: Dataset) -> None:
    with pytest.raises(
        RecipeError, match=r"accumulate: must leave 2 images or more .* on each of 9 processes, found 2"
    ):
        recipe_batches(few_digits, RecipeConfig(batch_size=32, accumulate=2), processes=9)
