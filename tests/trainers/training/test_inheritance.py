"""Weights that a network takes over, and the identity of a training that begins with them."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

from trainers.training.checkpoint import training_identity
from trainers.training.config import TrainConfig
from trainers.training.inheritance import copy_matching


def network(width: int, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, width, 1), nn.Linear(width, 10))


def test_tensors_that_match_by_name_and_shape_are_copied_and_the_others_stay() -> None:
    parent, child, fresh = network(4, 0), network(6, 1), network(6, 1)
    parent[1].running_mean.add_(2.0)
    weights = {**parent.state_dict(), "7.weight": torch.zeros(3)}
    copied = copy_matching(child, weights)
    names = ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked")
    assert copied.names == (*names, "3.bias")
    state = child.state_dict()
    for name, value in state.items():
        source = weights if name in copied.names else fresh.state_dict()
        assert torch.equal(value, source[name]), name
    taken, total = 72 + 8 + 8 + 8 + 10, 72 + 8 + 8 + 8 + 48 + 6 + 60 + 10  # buffers do not count
    assert copied.parameters == taken / total


def test_a_tensor_of_another_type_or_that_is_not_finite_is_left_out() -> None:
    child, parent = network(4, 1), network(4, 0).state_dict()
    parent["0.weight"] = parent["0.weight"].double()
    parent["0.bias"][0] = torch.nan
    assert not {"0.weight", "0.bias"} & set(copy_matching(child, parent).names)


def test_the_digest_is_that_of_the_copied_tensors() -> None:
    parent = network(4, 0).state_dict()
    digest = copy_matching(network(4, 1), parent).digest
    assert copy_matching(network(4, 2), {**parent, "other": torch.ones(1)}).digest == digest
    parent["3.bias"][0] += 1
    assert copy_matching(network(4, 1), parent).digest != digest


def test_the_identity_of_a_training_from_scratch_is_that_of_earlier_versions() -> None:
    data = SimpleNamespace(fingerprint="abc")
    identity = training_identity(network(4, 0), data, TrainConfig(epochs=3), 7)
    assert identity == "c3867077663658365646d1736d45af3314b9f48d04e56dda58be96172dd93f3c"
    others = [training_identity(network(4, 0), data, TrainConfig(epochs=3), 7, origin) for origin in ("1: a", "1: b")]
    assert len({identity, *others}) == 3
