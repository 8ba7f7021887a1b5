from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, strategies as st
from scipy.stats import binom
from torch import Tensor, nn

from trainers.device import condition, device_name
from trainers.measuring import throughput
from trainers.measuring.effort import Effort
from trainers.measuring.throughput import (
    LAYERS_PER_GROUP,
    PASS_S,
    TURNS,
    ReferenceNetwork,
    measure,
    measure_layers,
    median_interval,
    warm_up,
)

QUICK = Effort(min_time_s=0.0, max_time_s=0.0, min_repeats=5)


class Clock:
    """A clock that goes on only when told: what is timed by it takes exactly what it says."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of `trainers.measuring.throughput`."""
    clock = Clock()
    monkeypatch.setattr(throughput, "time", clock)
    return clock


class Worker(nn.Module):
    """Takes a known time by `clock`, and notes how it was called."""

    def __init__(self, clock: Clock, *seconds: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.clock = clock
        self.seconds = itertools.cycle(seconds)
        self.calls: list[tuple[tuple[int, ...], torch.dtype, bool, bool]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append((tuple(images.shape), images.dtype, self.training, torch.is_inference_mode_enabled()))
        self.clock.now += next(self.seconds)
        return images * self.scale


class Paced(ReferenceNetwork):
    """A reference whose passes take what it is told, whatever the machine does."""

    def __init__(self, taken: float, pass_s: float | None) -> None:
        super().__init__("cpu", pass_s)
        self.taken = taken

    def time_pass(self) -> float:
        return self.taken


def test_a_known_duration_gives_a_known_rate(clock: Clock) -> None:
    result = measure(Worker(clock, 0.01), (3, 4, 4), batch_size=8, effort=QUICK, reference=Paced(0.001, 0.001))
    assert result.images_per_s == pytest.approx(8 / 0.01)
    assert result.low == pytest.approx(result.images_per_s) == result.high
    assert result.latency_ms == pytest.approx(10)
    assert (result.repeats, result.drift) == (5, 1.0)


def test_the_median_of_the_passes_counts(clock: Clock) -> None:
    module = Worker(clock, 0.01, 0.01, 0.01, 0.01, 0.5)  # every fifth pass is disturbed
    effort = Effort(0, 10, min_repeats=100, interval=10)
    result = measure(module, (3, 4, 4), batch_size=8, effort=effort, reference=Paced(0.001, 0.001))
    assert result.images_per_s == pytest.approx(8 / 0.01)


def test_a_machine_that_became_slower_does_not_count(clock: Clock) -> None:
    # The reference takes twice what it took at first: so would the module, were the machine as it was.
    module = Worker(clock, 0.01)
    as_now = measure(module, (1, 2, 2), batch_size=8, effort=QUICK, reference=Paced(0.002, 0.002))
    as_then = measure(module, (1, 2, 2), batch_size=8, effort=QUICK, reference=Paced(0.002, 0.001))
    assert as_then.drift == 2.0
    assert as_then.images_per_s == pytest.approx(2 * as_now.images_per_s)


def test_the_first_measurement_sets_what_the_reference_takes() -> None:
    reference = ReferenceNetwork()
    first = measure(nn.Flatten(), (1, 2, 2), batch_size=1, effort=QUICK, reference=reference)
    assert first.drift == 1.0
    seconds = reference.pass_s
    assert seconds is not None
    measure(nn.Flatten(), (1, 2, 2), batch_size=1, effort=QUICK, reference=reference)
    assert reference.pass_s == seconds


def test_the_reference_does_not_touch_the_generator_of_others() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    ReferenceNetwork()
    assert torch.equal(before, torch.get_rng_state())


def test_how_the_module_is_called(clock: Clock) -> None:
    module = Worker(clock, 0.001).to(torch.bfloat16).train()
    result = measure(module, (3, 4, 6), batch_size=2, effort=QUICK, reference=Paced(0.001, 0.001))
    assert set(module.calls) == {((2, 3, 4, 6), torch.bfloat16, False, True)}
    assert len(module.calls) > result.repeats  # a warm-up
    assert (result.batch_size, result.precision, result.threads) == (2, "bfloat16", torch.get_num_threads())
    assert result.device == device_name(torch.device("cpu")) != ""


def test_another_precision_is_by_autocast() -> None:
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


def test_the_reference_does_the_same_work_beside_whatever_is_measured() -> None:
    reference = ReferenceNetwork()
    seen = []
    reference.network.register_forward_hook(lambda module, args, result: seen.append(result.dtype))
    measure(nn.Linear(2, 2), (1, 2, 2), batch_size=2, precision="bfloat16", effort=QUICK, reference=reference)
    assert set(seen) == {torch.float32}


def test_passes_go_on_until_the_interval_is_narrow_or_the_time_is_over(clock: Clock) -> None:
    def repeats(module: Worker, effort: Effort) -> int:
        return measure(module, (1, 2, 2), effort=effort, reference=Paced(0.001, 0.001)).repeats

    quarter = 2.0**-2  # exact in binary, as are its sums
    assert repeats(Worker(clock, quarter), Effort(5, 100, min_repeats=2)) == 20  # narrow at once; the least time counts
    assert repeats(Worker(clock, quarter), Effort(0, 100, min_repeats=3)) == 3
    uneven = (quarter, 3 * quarter)
    assert repeats(Worker(clock, *uneven), Effort(0, 50, interval=1e-9, min_repeats=2)) == 100
    assert repeats(Worker(clock, *uneven), Effort(0, 50, interval=0.6, min_repeats=2)) < 100


def test_warm_up_ends_when_a_pass_is_no_faster() -> None:
    seconds = iter([8.0, 4.0, 2.0, 1.0, 1.0, 0.5])
    warm_up(lambda: next(seconds))
    assert list(seconds) == [0.5]
    ever_faster = iter([2.0**-i for i in range(50)])
    warm_up(lambda: next(ever_faster))
    assert len(list(ever_faster)) == 40


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=200))
def test_the_interval_surrounds_the_median(values: list[float]) -> None:
    low, middle, high = median_interval(values)
    assert min(values) <= low <= middle <= high <= max(values)


@pytest.mark.parametrize("count", [8, 20, 50, 200])
def test_the_interval_covers_the_median_that_often(count: int) -> None:
    low, _, high = median_interval(list(range(count)))
    # The median of the distribution lies between the order statistics of ranks low + 1 and high + 1 unless fewer than
    # that lie below it: a binomial probability.
    covered = binom.cdf(int(high), count, 0.5) - binom.cdf(int(low), count, 0.5)
    assert 0.92 < covered < 0.995


def test_modes_come_back_even_after_a_failure() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout()).train()
    module[0].eval()
    measure(module, (1, 1, 4), batch_size=1, effort=QUICK)
    assert (module.training, module[0].training, module[1].training) == (True, False, True)
    with pytest.raises(RuntimeError):
        measure(module, (1, 1, 5), batch_size=1)
    assert (module.training, module[0].training, module[1].training) == (True, False, True)


def test_a_module_without_parameters() -> None:
    assert measure(nn.Flatten(), (1, 2, 2), effort=QUICK).precision == "float32"


def test_condition_of_the_processor_is_plausible_or_unknown() -> None:
    clock_mhz, temperature_c = condition(torch.device("cpu"))
    assert clock_mhz is None or 100 < clock_mhz < 10_000
    assert temperature_c is None or -50 < temperature_c < 150
    assert condition(torch.device("meta")) == (None, None)


@pytest.mark.parametrize(
    "wrong", [{"min_repeats": 1}, {"min_time_s": 1.0, "max_time_s": 0.5}, {"min_time_s": -1.0}, {"interval": 0.0}]
)
def test_wrong_efforts(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Effort(**wrong)  # type: ignore[arg-type]


def test_wrong_batch() -> None:
    with pytest.raises(ValueError, match="batch_size must be"):
        measure(nn.Flatten(), (1, 2, 2), batch_size=0)


def test_layers_take_what_they_take_whatever_stands_beside_them(clock: Clock) -> None:
    taken = [0.002 * (1 + i % 3) for i in range(10)]
    layers = [(Worker(clock, seconds), (i + 1, 2, 2)) for i, seconds in enumerate(taken)]
    seconds = measure_layers(layers, batch_size=5, reference=Paced(0.001, 0.001))
    assert seconds == pytest.approx(taken)
    for i, (layer, _) in enumerate(layers):
        assert set(layer.calls) == {((5, i + 1, 2, 2), torch.float32, False, True)}
        assert layer.training


def test_quick_layers_are_repeated_within_a_pass(clock: Clock) -> None:
    layer = Worker(clock, 0.00001)
    assert measure_layers([(layer, (1, 2, 2))], batch_size=1, reference=Paced(1, 1)) == pytest.approx([0.00001])
    assert len(layer.calls) > TURNS * round(PASS_S / 0.00001)


def test_layers_are_counted_against_the_reference_as_it_was_at_first(clock: Clock) -> None:
    layers = [(Worker(clock, 0.01), (1, 2, 2))]
    (as_then,) = measure_layers(layers, batch_size=1, reference=Paced(0.002, 0.001))
    (as_now,) = measure_layers(layers, batch_size=1, reference=Paced(0.002, None))
    assert as_now == pytest.approx(2 * as_then)


def test_no_more_layers_are_begun_when_the_time_is_over() -> None:
    built = []

    def layers() -> Iterator[tuple[nn.Module, tuple[int, int, int]]]:
        for index in range(5 * LAYERS_PER_GROUP):
            built.append(index)
            yield nn.Identity(), (1, 2, 2)

    seconds = measure_layers(layers(), batch_size=1, max_time_s=0.0)
    assert len(seconds) == len(built) == LAYERS_PER_GROUP
