"""Averaged weights: by hand, against timm's, and through a whole training that is stopped and resumed."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from timm.utils import ModelEmaV3
from torch import nn

from trainers.data.dataset import Dataset
from trainers.training.averaging import AveragedWeights, decay_at
from trainers.training.config import TrainConfig
from trainers.training.evaluation import evaluate
from trainers.training.loop import ProxyTraining


def network() -> nn.Module:
    """With batch norm and dropout, the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1), nn.Linear(288, 10)
        )


def same(one: nn.Module, two: nn.Module) -> bool:
    """Whether all parameters and buffers have the same bits."""
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_decays_by_hand() -> None:
    assert [decay_at(step, 0.5) for step in (0, 1, 7, 8, 100)] == [0.1, 2 / 11, 8 / 17, 0.5, 0.5]


def test_averages_by_hand() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 1.0)
    average = AveragedWeights(module, 0.15)
    nn.init.constant_(module.weight, 3.0)
    average.update(0)  # 0.1 of the old, 0.9 of the new
    assert float(average.module.weight) == pytest.approx(2.8)
    nn.init.constant_(module.weight, 0.0)
    average.update(1)  # 0.15: the decay itself, for 2 / 11 is more
    assert float(average.module.weight) == pytest.approx(0.42)
    assert module.weight.tolist() == [[0.0]]


def test_averages_are_those_of_timm() -> None:
    module = network().train()
    average, peer = AveragedWeights(module, 0.6), ModelEmaV3(copy.deepcopy(module), decay=0.6, foreach=False)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for step in range(20):
        module(torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(step))).square().mean().backward()
        optimizer.step()
        peer.decay = decay_at(step, 0.6)
        peer.update(module)
        average.update(step)
    for (name, ours), theirs in zip(
        average.module.state_dict().items(), peer.module.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, msg=name)
    assert int(average.module[1].num_batches_tracked) == 20
    assert not average.module.training
    assert not any(parameter.requires_grad for parameter in average.module.parameters())


def test_the_average_is_what_is_validated(few_digits: Dataset) -> None:
    training = ProxyTraining(network(), few_digits, TrainConfig(epochs=2, batch_size=32, ema=0.9), seed=0)
    last = list(training.epochs())[-1]
    assert training.model is not training.module
    assert (last.val_loss, last.val_accuracy) == evaluate(training.model, few_digits.val, few_digits)
    assert last.val_loss != evaluate(training.module, few_digits.val, few_digits)[0]
    # Training itself is none of its business.
    plain = ProxyTraining(network(), few_digits, TrainConfig(epochs=2, batch_size=32), seed=0)
    list(plain.epochs())
    assert plain.model is plain.module
    assert same(plain.module, training.module)


@pytest.mark.parametrize("stop", [1, 3])
def test_resume_gives_the_same_bits(stop: int, few_digits: Dataset, tmp_path: Path) -> None:
    """With everything that is random and everything that is saved, including the average."""
    fields = {"epochs": 3, "batch_size": 32, "ema": 0.9, "mixup": 0.4, "cutmix": 1.0, "augment": "strong"}
    config, file = TrainConfig.model_validate(fields), tmp_path / "checkpoint.pt"
    whole = ProxyTraining(network(), few_digits, config, seed=0, milestones=range(1, 4))
    expected = list(whole.epochs())
    stopped = ProxyTraining(network(), few_digits, config, seed=0, checkpoint=file, milestones=range(1, 4))
    list(itertools.islice(stopped.epochs(), stop))
    resumed = ProxyTraining(network(), few_digits, config, seed=0, checkpoint=file, milestones=range(1, 4))
    emitted = list(resumed.epochs())
    assert same(resumed.module, whole.module)
    assert same(resumed.model, whole.model)
    assert not same(resumed.model, resumed.module)
    seconds = {"train_s": 0.0, "wall_s": 0.0}
    assert [dataclasses.replace(e, **seconds) for e in emitted] == [dataclasses.replace(e, **seconds) for e in expected]
