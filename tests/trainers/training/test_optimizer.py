"""AdamW without torch's compiler: groups of parameters, clipping and steps against torch's own."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from trainers.training.config import TrainConfig
from trainers.training.optimizer import adamw, decay_groups


def network() -> nn.Sequential:
    """A small convolutional network with batch norm, the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)
        )


def test_weight_decay_groups() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.norm = nn.BatchNorm2d(4)
            self.table = nn.Parameter(torch.zeros(3, 4))
            self.scale = nn.Parameter(torch.zeros(()))
            self.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)
            self.head = nn.Linear(4, 2)

        def no_weight_decay(self) -> set[str]:
            return {"table"}

    net = Net()
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    decayed, spared = decay_groups(net, 0.05)
    assert {names[id(p)] for p in decayed["params"]} == {"conv.weight", "head.weight"}
    assert decayed["weight_decay"] == 0.05
    expected = {"conv.bias", "norm.weight", "norm.bias", "table", "scale", "head.bias"}
    assert {names[id(p)] for p in spared["params"]} == expected
    assert spared["weight_decay"] == 0.0


@pytest.mark.parametrize("place", ["cpu", "meta"])  # there is a fused step on a CPU; the other place knows none
@pytest.mark.parametrize("limit", [0.01, 1e6])
def test_clipping_is_that_of_torch(place: str, limit: float) -> None:
    ours, theirs = network(), network()
    config = TrainConfig(lr=0.1, weight_decay=0.1)
    optimizer = adamw(ours, config, torch.device(place))
    assert optimizer.defaults["fused"] == (place == "cpu")
    reference = torch.optim.AdamW(decay_groups(theirs, 0.1), lr=0.1)
    for step in range(3):
        images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(step))
        for net, stepped in ((ours, optimizer), (theirs, reference)):
            stepped.zero_grad()
            net.eval()(images).square().mean().backward()
        optimizer.clip(limit)
        nn.utils.clip_grad_norm_(theirs.parameters(), limit)
        optimizer.step()
        reference.step()
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            moments = (optimizer.state[mine]["exp_avg"], reference.state[other]["exp_avg"])
            torch.testing.assert_close(*moments, rtol=1e-3, atol=1e-7)


def test_steps_equal_those_of_torch_and_the_compiler_is_not_imported() -> None:
    code = """
import copy, sys, torch
from torch import nn
from trainers.training.config import TrainConfig
from trainers.training.optimizer import adamw, decay_groups
torch.manual_seed(0)
ours = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5))
theirs = copy.deepcopy(ours)
x = torch.randn(8, 3, 8, 8)
config = TrainConfig(lr=0.01, weight_decay=0.1)
optimizer = adamw(ours, config, torch.device("cpu"))
for _ in range(3):
    optimizer.zero_grad()
    ours(x).square().mean().backward()
    optimizer.step()
state = optimizer.state_dict()
optimizer.load_state_dict(state)
assert "torch._dynamo" not in sys.modules
reference = torch.optim.AdamW(decay_groups(theirs, 0.1), lr=0.01)
for _ in range(3):
    reference.zero_grad()
    theirs(x).square().mean().backward()
    reference.step()
for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
print("alike")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "alike", run.stderr
