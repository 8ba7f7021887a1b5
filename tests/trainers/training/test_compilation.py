from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from nas.evaluation.evaluator import Evaluator
from nas.evaluation.settings import EvaluationSettings
from search_space import Architecture, build
from trainers.data.dataset import Dataset
from trainers.training.compilation import check_compiler, compile_module
from trainers.training.config import TrainConfig
from trainers.training.loop import ProxyTraining, train


def network() -> nn.Module:
    """The same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.GELU(), nn.Flatten(), nn.Linear(288, 10)
        )


def test_off_is_the_module_itself() -> None:
    module = nn.Linear(1, 1)
    assert compile_module(module, "off") is module
    check_compiler("off", "no device")


def test_a_compiled_training_ends_with_the_same_network(few_digits: Dataset) -> None:
    counters.clear()
    plain, other = network(), network()
    expected = train(plain, few_digits, TrainConfig(epochs=2, batch_size=32), seed=0)
    assert not counters["stats"]
    found = train(other, few_digits, TrainConfig(epochs=2, batch_size=32, compile="default"), seed=0)
    assert counters["stats"]["unique_graphs"] == 1  # for training; each shape would have been another
    assert found[-1].train_loss == pytest.approx(expected[-1].train_loss, rel=1e-4)
    assert other.state_dict().keys() == plain.state_dict().keys()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_the_settings_of_torchs_compiler_are_not_changed(few_digits: Dataset) -> None:
    import torch._dynamo.config as dynamo
    import torch._functorch.config as functorch

    def settings() -> tuple[bool, bool]:
        return dynamo.suppress_errors, functorch.force_non_lazy_backward_lowering

    before = settings()
    assert not dynamo.suppress_errors
    training = ProxyTraining(network(), few_digits, TrainConfig(epochs=1, batch_size=32, compile="default"), seed=0)
    assert settings() == before
    list(training.epochs())
    assert settings() == before
    check_compiler("default", "cpu")
    assert settings() == before


@torch.no_grad()
def test_every_network_of_a_long_running_process_is_compiled() -> None:
    for width in range(1, 11):  # torch compiles eight of a class
        counters.clear()
        module = nn.Linear(width, 2)
        x = torch.ones(2, width)
        torch.testing.assert_close(compile_module(module, "default")(x), module(x))
        assert counters["stats"]["unique_graphs"] == 1


def test_what_torch_cannot_compile_runs_uncompiled() -> None:
    stage = {"mixer": "fno", "width": 2, "depth": 1}
    description = {"stem": {"patch": 1}, "stages": [stage], "image_size": 8, "in_chans": 1, "num_classes": 2}
    module = build(Architecture.from_dict(description))
    x = torch.randn(2, 1, 8, 8).contiguous(memory_format=torch.channels_last)
    expected = torch.autograd.grad(module(x).square().sum(), [*module.parameters()])
    found = torch.autograd.grad(compile_module(module, "default")(x).square().sum(), [*module.parameters()])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_worker_without_a_compiler_fails_at_its_start(
    digits_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # what was compiled before is not found
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    with pytest.raises(Exception, match="no-such-compiler"):
        Evaluator(EvaluationSettings(digits_file, TrainConfig(compile="default")), "cpu")
