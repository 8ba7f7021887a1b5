"""Checkpoints that are intact and yet do not fit: nothing is loaded from them, and the training starts afresh."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainers.data.dataset import Dataset
from trainers.errors import TrainingInterrupted
from trainers.training import checkpoint
from trainers.training.averaging import AveragedWeights
from trainers.training.config import TrainConfig
from trainers.training.epoch import Epoch
from trainers.training.loop import ProxyTraining
from trainers.training.optimizer import adamw
from trainers.training.state import PartialEpoch, TrainingState, random_states

CONFIG = TrainConfig(epochs=3, batch_size=32)
CPU = torch.device("cpu")


def network() -> nn.Module:
    """A small network with buffers and dropout, the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.LazyLinear(10)
        )


def materialised() -> nn.Module:
    module = network()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module(torch.zeros(2, 1, 8, 8))
    return module


class Steps:
    """A training state without data: `steps` of the optimizer on random images."""

    def __init__(self, ema: bool) -> None:
        self.module = materialised()
        self.optimizer = adamw(self.module, CONFIG, CPU)
        average = AveragedWeights(self.module, 0.9) if ema else None
        self.state = TrainingState("abc", self.module, self.optimizer, average, 3, 4, milestones=(1,))

    def step(self) -> None:
        images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(5))
        self.module(images).square().mean().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def bits(self) -> list[Any]:
        """All tensors and numbers of the state, copied."""
        return list(leaves(copy.deepcopy(self.state.to_dict([]))))


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value.tolist() if isinstance(value, Tensor) else value


def written(partial: bool, ema: bool) -> dict[str, Any]:
    """What a checkpoint after one epoch of four steps holds, or after two steps of the second one."""
    steps = Steps(ema)
    for _ in range(6 if partial else 4):
        steps.step()
    epoch = Epoch(1, 2.0, 1.5, 0.5, 1e-3, 0.1, 0.2)
    rest = PartialEpoch(torch.tensor([1.0, 2.0]), 0.5, random_states(CPU)) if partial else None
    return steps.state.to_dict([epoch], rest)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested containers, apart from the settings of the optimizer, which are not read."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            if key not in ("lr", "betas") and (len(path) < 2 or path[:2] != ("optimizer", "param_groups")):
                yield from places(value[key], (*path, key))


def put(state: dict[str, Any], path: tuple[Any, ...], change: Callable[[Any], Any] | None) -> None:
    """Change the value at `path`; None removes it."""
    for key in path[:-1]:
        state = state[key]
    if change is None:
        del state[path[-1]]
    else:
        state[path[-1]] = change(state[path[-1]])


OF_TENSORS: list[Callable[[Tensor], Any]] = [
    lambda t: t.flatten()[:-1],
    lambda t: torch.cat([t.flatten(), t.flatten()]),
    lambda t: t[None],
    lambda t: t.to(torch.float16 if t.dtype != torch.float16 else torch.float32),
    lambda t: torch.empty_like(t, device="meta"),
    lambda t: t.tolist(),
    lambda t: t.to(torch.complex64),
    lambda t: torch.full_like(t, math.nan) if t.is_floating_point() else None,
    lambda t: torch.full_like(t, math.inf) if t.is_floating_point() else None,
]
OF_ANYTHING: list[Callable[[Any], Any]] = [
    lambda v: None,
    lambda v: "text",
    lambda v: [v],
    lambda v: {"value": v},
    lambda v: -1,
    lambda v: 10**400,
    lambda v: math.nan,
    lambda v: torch.zeros(3),
]


def is_harmless(path: tuple[Any, ...], value: Any, changed: Any) -> bool:
    """What is no damage: another number, a parameter without moments, a buffer with any values of its shape."""
    if path[:2] == ("optimizer", "state") and len(path) == 3 and changed is REMOVED:
        return True
    if path[0] in ("module", "average") and isinstance(value, Tensor) and isinstance(changed, Tensor):
        is_parameter = path[-1].endswith(("weight", "bias"))
        return not is_parameter and changed.shape == value.shape and changed.dtype == value.dtype
    return isinstance(value, float) and isinstance(changed, int)


REMOVED = object()


@pytest.mark.parametrize("ema", [False, True])
@pytest.mark.parametrize("partial", [False, True])
def test_no_mutation_of_the_content_is_loaded_and_none_is_an_error(partial: bool, ema: bool) -> None:
    original = written(partial, ema)
    draw = random.Random(f"{partial} {ema}")
    fresh = Steps(ema)
    before, tried = fresh.bits(), 0
    for _ in range(300):
        state = copy.deepcopy(original)
        path = draw.choice(list(places(state)))
        value = state
        for key in path:
            value = value[key]
        changes = [None, *OF_ANYTHING, *(OF_TENSORS if isinstance(value, Tensor) else ())]
        change = draw.choice(changes)
        changed = REMOVED if change is None else change(copy.deepcopy(value))
        if is_harmless(path, value, changed):
            continue
        put(state, path, change)
        tried += 1
        try:
            fresh.state.load(state)
        except ValueError:
            pass
        else:
            pytest.fail(f"{path} of {value} changed to {changed} was loaded")
        assert fresh.bits() == before, (path, change)
    assert tried > 150
    history, rest = fresh.state.load(original)
    assert [epoch.epoch for epoch in history] == [1]
    assert (rest is not None) == partial
    assert fresh.bits() != before


def other_optimizer(state: dict[str, Any]) -> None:
    for index, moments in state["optimizer"]["state"].items():
        state["optimizer"]["state"][index] = {"momentum_buffer": moments["exp_avg"]}


def too_many_steps(state: dict[str, Any]) -> None:
    state["optimizer"]["state"][0]["step"] = torch.tensor(999.0)


def more_epochs(state: dict[str, Any]) -> None:
    state["history"] = [{**state["history"][0], "epoch": number} for number in range(1, 6)]


def not_validated(state: dict[str, Any]) -> None:
    state["history"][0]["val_accuracy"] = None


def negative_variance(state: dict[str, Any]) -> None:
    state["optimizer"]["state"][0]["exp_avg_sq"] = -state["optimizer"]["state"][0]["exp_avg_sq"] - 1


def renamed(state: dict[str, Any]) -> None:
    state["module"] = {f"net.{name}": value for name, value in state["module"].items()}


def swapped(state: dict[str, Any]) -> None:
    state["optimizer"]["param_groups"] = state["optimizer"]["param_groups"][::-1]


CASES = [other_optimizer, too_many_steps, more_epochs, not_validated, negative_variance, renamed, swapped]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_training_with_a_checkpoint_that_does_not_fit_is_one_without(
    case: Callable[[dict[str, Any]], None], few_digits: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint.pt"
    whole = materialised()
    expected = list(ProxyTraining(whole, few_digits, CONFIG, seed=0, checkpoint=file, milestones=(1,)).epochs())
    state = checkpoint.load(file)
    assert state is not None
    case(state)
    checkpoint.save(file, state)
    module = materialised()
    epochs = list(ProxyTraining(module, few_digits, CONFIG, seed=0, checkpoint=file, milestones=(1,)).epochs())
    assert [epoch.train_loss for epoch in epochs] == [epoch.train_loss for epoch in expected]
    assert all(
        torch.equal(a, b) for a, b in zip(module.state_dict().values(), whole.state_dict().values(), strict=True)
    )


def test_a_training_that_is_interrupted_at_any_step_ends_with_the_same_bits(
    few_digits: Dataset, tmp_path: Path
) -> None:
    config = TrainConfig(epochs=3, batch_size=32, augment="standard", mixup=0.5, ema=0.9)
    whole = ProxyTraining(materialised(), few_digits, config, seed=0)
    expected = [epoch.train_loss for epoch in whole.epochs()]
    steps_per_epoch = whole.steps_per_epoch
    draw, interruptions = random.Random(0), 0
    while True:
        patience = iter(range(draw.randrange(1, 2 * steps_per_epoch)))
        training = ProxyTraining(
            materialised(),
            few_digits,
            config,
            seed=0,
            checkpoint=tmp_path / "c.pt",
            is_stop_requested=lambda steps=patience: next(steps, None) is None,  # type: ignore[misc]
        )
        try:
            epochs = list(training.epochs())
            break
        except TrainingInterrupted:
            interruptions += 1
    assert interruptions >= 2
    assert [epoch.train_loss for epoch in epochs] == expected
    pairs = zip(training.model.state_dict().values(), whole.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    own_s = [training.own_seconds(epoch).wall_s for epoch in epochs]
    assert all(own <= epoch.wall_s for own, epoch in zip(own_s, epochs, strict=True))
    assert sum(own_s) < sum(epoch.wall_s for epoch in epochs)
