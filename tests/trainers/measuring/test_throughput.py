from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from trainers.device import device_name
from trainers.measuring import layers as layers_module, throughput, timing
from trainers.measuring.effort import Effort
from trainers.measuring.layers import LAYERS_PER_GROUP, MIN_TURN_S, TURNS_PER_LAYER, measure_layers
from trainers.measuring.reference import ReferenceNetwork
from trainers.measuring.throughput import measure

QUICK = Effort(min_time_s=0.0, max_time_s=0.0, min_repeats=5)


class ManualClock:
    """A clock that only its users advance, so that durations are exact."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock by which `trainers.measuring` times."""
    clock = ManualClock()
    for module in (timing, throughput, layers_module):
        monkeypatch.setattr(module, "time", clock)
    return clock


class TimedModule(nn.Module):
    """A module that takes known times by `clock`, and records how it was called."""

    def __init__(self, clock: ManualClock, *seconds: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.clock = clock
        self.seconds = itertools.cycle(seconds)
        self.calls: list[tuple[tuple[int, ...], torch.dtype, bool, bool]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append((tuple(images.shape), images.dtype, self.training, torch.is_inference_mode_enabled()))
        self.clock.now += next(self.seconds)
        return images * self.scale


class FixedReference(ReferenceNetwork):
    """A reference whose passes take a fixed time, whatever the machine does."""

    def __init__(self, taken: float, pass_s: float | None) -> None:
        super().__init__("cpu", pass_s)
        self.taken = taken

    def time_pass(self) -> float:
        return self.taken


def test_a_known_duration_gives_a_known_rate(clock: ManualClock) -> None:
    result = measure(
        TimedModule(clock, 0.01), (3, 4, 4), batch_size=8, effort=QUICK, reference=FixedReference(0.001, 0.001)
    )
    assert result.images_per_s == pytest.approx(8 / 0.01)
    assert result.low == pytest.approx(result.images_per_s) == result.high
    assert result.latency_ms == pytest.approx(10)
    assert (result.repeats, result.drift) == (5, 1.0)


def test_the_median_of_the_passes_counts(clock: ManualClock) -> None:
    module = TimedModule(clock, 0.01, 0.01, 0.01, 0.01, 0.5)  # every fifth pass is disturbed
    effort = Effort(0, 10, min_repeats=100, interval=10)
    result = measure(module, (3, 4, 4), batch_size=8, effort=effort, reference=FixedReference(0.001, 0.001))
    assert result.images_per_s == pytest.approx(8 / 0.01)


def test_the_result_does_not_depend_on_the_speed_of_the_machine(clock: ManualClock) -> None:
    # The reference takes twice what it took at first: so would the module, were the machine as it was.
    module = TimedModule(clock, 0.01)
    as_now = measure(module, (1, 2, 2), batch_size=8, effort=QUICK, reference=FixedReference(0.002, 0.002))
    as_then = measure(module, (1, 2, 2), batch_size=8, effort=QUICK, reference=FixedReference(0.002, 0.001))
    assert as_then.drift == 2.0
    assert as_then.images_per_s == pytest.approx(2 * as_now.images_per_s)


def test_the_first_measurement_sets_the_time_of_the_reference() -> None:
    reference = ReferenceNetwork()
    first = measure(nn.Flatten(), (1, 2, 2), batch_size=1, effort=QUICK, reference=reference)
    assert first.drift == 1.0
    seconds = reference.pass_s
    assert seconds is not None
    measure(nn.Flatten(), (1, 2, 2), batch_size=1, effort=QUICK, reference=reference)
    assert reference.pass_s == seconds


def test_the_reference_does_not_change_the_global_generator() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    ReferenceNetwork()
    assert torch.equal(before, torch.get_rng_state())


def test_the_module_is_called_in_inference_mode_with_its_own_dtype(clock: ManualClock) -> None:
    module = TimedModule(clock, 0.001).to(torch.bfloat16).train()
    result = measure(module, (3, 4, 6), batch_size=2, effort=QUICK, reference=FixedReference(0.001, 0.001))
    assert set(module.calls) == {((2, 3, 4, 6), torch.bfloat16, False, True)}
    assert len(module.calls) > result.repeats  # a warm-up
    assert (result.batch_size, result.precision, result.threads) == (2, "bfloat16", torch.get_num_threads())
    assert result.device == device_name(torch.device("cpu")) != ""


def test_another_precision_uses_autocast() -> None:
    class Noting(nn.Linear):
        seen: torch.dtype | None = None

        def forward(self, images: Tensor) -> Tensor:
            result = super().forward(images)
            self.seen = result.dtype
            return result

    module = Noting(4, 4)
    assert measure(module, (1, 2, 4), batch_size=2, precision="bfloat16", effort=QUICK).precision == "bfloat16"
    assert module.seen == torch.bfloat16
    assert module.weight.dtype == torch.float32


def test_the_reference_runs_in_float32_whatever_is_measured() -> None:
    reference = ReferenceNetwork()
    seen = []
    reference.network.register_forward_hook(lambda module, args, result: seen.append(result.dtype))
    measure(nn.Linear(2, 2), (1, 2, 2), batch_size=2, precision="bfloat16", effort=QUICK, reference=reference)
    assert set(seen) == {torch.float32}


def test_passes_are_repeated_until_the_interval_is_narrow_or_the_time_is_over(clock: ManualClock) -> None:
    def repeats(module: TimedModule, effort: Effort) -> int:
        return measure(module, (1, 2, 2), effort=effort, reference=FixedReference(0.001, 0.001)).repeats

    quarter = 2.0**-2  # exact in binary, as are its sums
    assert (
        repeats(TimedModule(clock, quarter), Effort(5, 100, min_repeats=2)) == 20
    )  # narrow at once; the least time counts
    assert repeats(TimedModule(clock, quarter), Effort(0, 100, min_repeats=3)) == 3
    uneven = (quarter, 3 * quarter)
    assert repeats(TimedModule(clock, *uneven), Effort(0, 50, interval=1e-9, min_repeats=2)) == 100
    assert repeats(TimedModule(clock, *uneven), Effort(0, 50, interval=0.6, min_repeats=2)) < 100


def test_modes_are_restored_even_after_a_failure() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout()).train()
    module[0].eval()
    measure(module, (1, 1, 4), batch_size=1, effort=QUICK)
    assert (module.training, module[0].training, module[1].training) == (True, False, True)
    with pytest.raises(RuntimeError):
        measure(module, (1, 1, 5), batch_size=1)
    assert (module.training, module[0].training, module[1].training) == (True, False, True)


def test_a_module_without_parameters() -> None:
    assert measure(nn.Flatten(), (1, 2, 2), effort=QUICK).precision == "float32"


def test_wrong_batch() -> None:
    with pytest.raises(ValueError, match="batch_size must be"):
        measure(nn.Flatten(), (1, 2, 2), batch_size=0)


def test_the_time_of_a_layer_does_not_depend_on_the_others(clock: ManualClock) -> None:
    taken = [0.002 * (1 + i % 3) for i in range(10)]
    layers = [(TimedModule(clock, seconds), (i + 1, 2, 2)) for i, seconds in enumerate(taken)]
    seconds = measure_layers(layers, batch_size=5, reference=FixedReference(0.001, 0.001))
    assert seconds == pytest.approx(taken)
    for i, (layer, _) in enumerate(layers):
        assert set(layer.calls) == {((5, i + 1, 2, 2), torch.float32, False, True)}
        assert layer.training


def test_quick_layers_are_repeated_within_a_pass(clock: ManualClock) -> None:
    layer = TimedModule(clock, 0.00001)
    assert measure_layers([(layer, (1, 2, 2))], batch_size=1, reference=FixedReference(1, 1)) == pytest.approx(
        [0.00001]
    )
    assert len(layer.calls) > TURNS_PER_LAYER * round(MIN_TURN_S / 0.00001)


def test_times_of_layers_refer_to_the_first_time_of_the_reference(clock: ManualClock) -> None:
    layers = [(TimedModule(clock, 0.01), (1, 2, 2))]
    (as_then,) = measure_layers(layers, batch_size=1, reference=FixedReference(0.002, 0.001))
    (as_now,) = measure_layers(layers, batch_size=1, reference=FixedReference(0.002, None))
    assert as_now == pytest.approx(2 * as_then)


def test_no_other_group_is_started_when_the_time_is_over() -> None:
    built = []

    def layers() -> Iterator[tuple[nn.Module, tuple[int, int, int]]]:
        for index in range(5 * LAYERS_PER_GROUP):
            built.append(index)
            yield nn.Identity(), (1, 2, 2)

    seconds = measure_layers(layers(), batch_size=1, max_time_s=0.0)
    assert len(seconds) == len(built) == LAYERS_PER_GROUP
