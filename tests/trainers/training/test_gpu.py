"""Training and measuring on a GPU: it learns, has the same bits twice and after interruptions, and measures itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from search_space import Architecture, build
from search_space.mixers import MIXERS
from trainers.data.dataset import Dataset, load
from trainers.device import CONTEXT_BYTES, device_condition, device_label, use_device
from trainers.device_lock import DeviceLock
from trainers.errors import TrainingInterrupted
from trainers.measuring.memory import peak_memory_bytes
from trainers.measuring.reference import ReferenceNetwork
from trainers.measuring.throughput import measure
from trainers.training.config import TrainConfig
from trainers.training.epoch import Epoch
from trainers.training.loop import ProxyTraining, train
from trainers.training.recipe import RecipeTraining
from trainers.training.recipe_config import RecipeConfig

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]
SHORT = TrainConfig(epochs=3, batch_size=64, augment="standard", mixup=0.2, ema=0.9)


@pytest.fixture(scope="module")
def on_gpu(few_digits_file: Path) -> Dataset:
    return load(few_digits_file, "cuda")


def network(mixer: str, width: int = 16) -> nn.Module:
    """A small network of one mixer for digits, the same weights each time."""
    stage = {"mixer": mixer, "width": width, "depth": 2}
    described = {"stem": {"patch": 2}, "stages": [stage], "image_size": 8, "in_chans": 1, "num_classes": 10}
    torch.manual_seed(0)
    return build(Architecture.from_dict(described))


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu().clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def metrics(epochs: tuple[Epoch, ...]) -> list[Any]:
    return [(e.epoch, e.train_loss, e.val_loss, e.val_accuracy) for e in epochs]


@pytest.mark.parametrize("amp", ["auto", "off"])
def test_it_learns(digits_file: Path, amp: Any) -> None:
    data = load(digits_file, "cuda")
    trained = network("conv", 32)
    history = train(trained, data, TrainConfig(epochs=8, amp=amp), seed=0)
    assert next(trained.parameters()).is_cuda
    assert history[-1].val_accuracy is not None
    assert history[-1].val_accuracy > 0.9


def test_a_gpu_that_has_bfloat16_uses_it(on_gpu: Dataset) -> None:
    seen: set[torch.dtype] = set()
    trained = network("conv")
    convolution = next(module for module in trained.modules() if isinstance(module, nn.Conv2d))
    convolution.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    train(trained, on_gpu, TrainConfig(epochs=1), seed=0)
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    assert seen == {torch.bfloat16 if has_bf16 else torch.float32}


@pytest.mark.parametrize("mixer", sorted(MIXERS))
def test_trainings_have_the_same_bits(mixer: str, on_gpu: Dataset) -> None:
    nets = [network(mixer), network(mixer)]
    histories = [train(net, on_gpu, SHORT, seed=0) for net in nets]
    assert metrics(histories[0]) == metrics(histories[1])
    assert same(*map(state, nets))


@pytest.mark.parametrize("mixer", ["conv", "global_filter", "attention"])
@pytest.mark.parametrize("steps", [0, 1, 3, 5])
def test_an_interrupted_training_resumes_to_the_same_bits(
    mixer: str, steps: int, on_gpu: Dataset, tmp_path: Path
) -> None:
    whole = ProxyTraining(network(mixer), on_gpu, SHORT, seed=0)
    expected = metrics(tuple(whole.epochs()))
    answers: Iterator[bool] = iter([False] * steps + [True])
    first = ProxyTraining(
        network(mixer), on_gpu, SHORT, seed=0, checkpoint=tmp_path / "c.pt", is_stop_requested=lambda: next(answers)
    )
    with pytest.raises(TrainingInterrupted):
        tuple(first.epochs())
    second = ProxyTraining(network(mixer), on_gpu, SHORT, seed=0, checkpoint=tmp_path / "c.pt")
    assert metrics(tuple(second.epochs())) == expected
    assert same(state(second.model), state(whole.model))


def test_full_trainings_have_the_same_bits(on_gpu: Dataset) -> None:
    recipe = RecipeConfig(epochs=2, batch_size=64, mixup=0.2, cutmix=0.5)
    trainings = [RecipeTraining(network("conv"), on_gpu, recipe, seed=0) for _ in range(2)]
    assert metrics(tuple(trainings[0].epochs())) == metrics(tuple(trainings[1].epochs()))
    assert same(state(trainings[0].model), state(trainings[1].model))


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_trainings_learn(mode: Any, digits_file: Path) -> None:
    history = train(network("conv", 32), load(digits_file, "cuda"), TrainConfig(epochs=6, compile=mode), seed=0)
    torch._dynamo.reset()
    assert (history[-1].val_accuracy or 0.0) > 0.9


def test_a_measurement_names_its_device_and_repeats() -> None:
    device = torch.device("cuda")
    reference = ReferenceNetwork(device, None)
    values = [
        measure(network("conv", 64), (1, 8, 8), device=device, batch_size=128, precision=None, reference=reference)
        for _ in range(3)
    ]
    assert {value.device for value in values} == {torch.cuda.get_device_name(device)}
    assert all(value.low <= value.images_per_s <= value.high for value in values)
    assert all(0 < value.images_per_s < 1e8 for value in values)
    clock, temperature = device_condition(device)
    assert (clock is None) == (temperature is None)
    assert device_label(device).startswith("cuda ")


def test_peak_memory_is_near_that_of_the_cpu() -> None:
    """Libraries and the allocator round up; the network's tensors are the same."""
    net = network("conv", 64)
    here, there = (peak_memory_bytes(net, (1, 8, 8), device=device, batch_size=512) for device in ("cpu", "cuda"))
    assert here / 2 < there < 3 * here


def test_the_lock_is_that_of_the_gpu_whatever_its_number(tmp_path: Path) -> None:
    one, two = DeviceLock("cuda", tmp_path), DeviceLock("cuda:0", tmp_path)
    with one.exclusive() as is_alone:
        assert is_alone
    with two.shared() as pause:
        pause()
    assert {file.suffix for file in tmp_path.iterdir()} == {".busy", ".turn"}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_share_of_a_gpu_is_a_limit() -> None:
    device = torch.device("cuda:0")
    total = torch.cuda.get_device_properties(device).total_memory
    try:
        use_device(device, 0.1)
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(int(0.1 * total), dtype=torch.uint8, device=device)
        torch.empty(int(0.1 * total - 2 * CONTEXT_BYTES), dtype=torch.uint8, device=device)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        torch.cuda.empty_cache()
