from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from trainers.throughput import device_name, measure


class Sleeper(nn.Module):
    """Takes a known time, and notes how it was called."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.seconds = seconds
        self.calls: list[tuple[tuple[int, ...], torch.dtype, bool, bool]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append((tuple(images.shape), images.dtype, self.training, torch.is_inference_mode_enabled()))
        time.sleep(self.seconds)
        return images * self.scale


def test_a_known_duration_gives_a_known_rate() -> None:
    result = measure(Sleeper(0.01), (3, 4, 4), batch_size=8, warmup_s=0.0, min_time_s=0.0, min_repeats=5)
    assert 0 < result.low <= result.images_per_s <= result.high <= 8 / 0.01  # a sleep is never shorter
    assert result.repeats == 5


def test_how_the_module_is_called() -> None:
    module = Sleeper(0.001).to(torch.bfloat16).train()
    result = measure(module, (3, 4, 6), batch_size=2, warmup_s=0.0, min_time_s=0.02, min_repeats=2)
    assert set(module.calls) == {((2, 3, 4, 6), torch.bfloat16, False, True)}
    assert len(module.calls) == result.repeats + 1  # one pass of warm-up
    assert (result.batch_size, result.precision, result.threads) == (2, "bfloat16", torch.get_num_threads())
    assert result.device == device_name(torch.device("cpu")) != ""


def test_passes_go_on_until_the_time_is_full_and_no_longer() -> None:
    module = Sleeper(0.004)
    start = time.perf_counter()
    result = measure(module, (1, 2, 2), batch_size=1, warmup_s=0.0, min_time_s=0.04, min_repeats=2)
    assert time.perf_counter() - start >= 0.04
    # Each pass takes 0.004 s at least, so ten of them fill the time; fewer do if they are slower.
    assert 2 <= result.repeats <= 10


def test_modes_come_back_even_after_a_failure() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout()).train()
    module[0].eval()
    measure(module, (1, 1, 4), batch_size=1, warmup_s=0.0, min_time_s=0.0)
    assert (module.training, module[0].training, module[1].training) == (True, False, True)
    with pytest.raises(RuntimeError):
        measure(module, (1, 1, 5), batch_size=1)
    assert (module.training, module[0].training, module[1].training) == (True, False, True)


def test_a_module_without_parameters() -> None:
    assert measure(nn.Flatten(), (1, 2, 2), warmup_s=0.0, min_time_s=0.0).precision == "float32"


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"min_repeats": 1}])
def test_wrong_arguments(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        measure(nn.Flatten(), (1, 2, 2), **wrong)  # type: ignore[arg-type]
