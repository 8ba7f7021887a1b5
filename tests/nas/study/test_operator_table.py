"""Tables of operators: exact for timed operators, estimated for others, and used by the sampler of a study."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.evaluation.measurer import Measurer
from nas.evaluation.settings import MeasuringSettings
from nas.objectives import get
from nas.sampler import ParetoSampler
from nas.study.config import StudyConfig
from nas.study.layout import OPERATORS
from nas.study.operator_table import (
    MIN_TIMED_PER_FAMILY,
    OperatorTable,
    operator_times,
    operators_to_time,
    read_tables,
    time_features,
    write_tables,
)
from nas.study.study_sampler import create_sampler
from search_space import SearchSpace, cost
from search_space.operators import Operator, operators
from trainers.device_lock import DeviceLock
from trainers.measuring.layers import LAYERS_PER_GROUP

SPACE = SearchSpace.from_dict(
    {
        "num_stages": [1, 2],
        "stem": {"patch": [2, 4]},
        "stages": [
            {
                "mixer": {"conv": {"k": [3, 5, 7]}, "pool": None, "global_filter": None},
                "channel_mixer": {"mlp": {"expansion": [1, 2]}},
                "width": [8, 16, 32, 64],
                "depth": [1, 2],
            }
        ]
        * 2,
        "image_size": 16,
    }
)


def law(operator: Operator) -> float:
    """Seconds that differ by the kind and are a sum of shares."""
    constant, macs, ffts, elements, params = time_features(operator)
    kind = 1 + len(operator.family) % 3
    return kind * (1e-5 * constant + 1e-9 * macs + 2e-9 * ffts + 5e-10 * elements + 1e-10 * params)


def table(count: int | None = None) -> OperatorTable:
    timed = operators_to_time(SPACE)[:count]
    return OperatorTable(operator_times(timed, map(law, timed)), batch_size=16)


def test_an_architecture_takes_the_sum_of_its_operators() -> None:
    complete = table()
    rng = random.Random(1)
    for _ in range(50):
        architecture = SPACE.sample(rng)
        expected = sum(count * law(operator) for operator, count in operators(architecture).items())
        assert complete.seconds(architecture) == pytest.approx(expected)
        parts = complete.seconds_by_part(architecture)
        assert len(parts) == len(architecture.stages) + 2
        assert sum(parts) == pytest.approx(expected)
        assert complete.predict(get("images_per_s"), architecture) == pytest.approx(16 / expected)
        assert complete.predict(get("latency_ms"), architecture) == pytest.approx(1000 * expected)


def test_an_untimed_operator_is_estimated_from_its_family() -> None:
    timed = operators_to_time(SPACE)
    families = len({operator.family for operator in timed})
    partial = table(MIN_TIMED_PER_FAMILY * families)
    untimed = [operator for operator in timed if operator.key not in partial.times]
    assert len(untimed) > 20
    errors = [abs(partial.estimate(operator) / law(operator) - 1) for operator in untimed]
    assert max(errors) < 0.2  # the law has the fitted form, but four operators of a family do not determine five shares
    assert np.median(errors) < 0.02


def test_an_untimed_family_is_estimated_from_its_kind_or_else_from_all() -> None:
    timed = [operator for operator in operators_to_time(SPACE) if operator.family != "tokens pool"]
    assert len(timed) < len(operators_to_time(SPACE))
    (pool, *_) = (operator for operator in operators_to_time(SPACE) if operator.family == "tokens pool")
    of_kind = OperatorTable(operator_times(timed, map(law, timed)), 1).estimate(pool)
    assert law(pool) / 5 < of_kind < law(pool) * 5
    stems = [operator for operator in timed if operator.kind == "stem"]
    assert OperatorTable(operator_times(stems, map(law, stems)), 1).estimate(pool) > 0


def test_the_first_operators_to_time_are_some_of_each_family_with_its_ends() -> None:
    timed = operators_to_time(SPACE)
    assert len(set(timed)) == len(timed)
    assert timed == operators_to_time(SPACE)
    families = list(dict.fromkeys(operator.family for operator in timed))
    first = timed[: MIN_TIMED_PER_FAMILY * len(families)]
    for family in families:
        like = [law(operator) for operator in timed if operator.family == family]
        chosen = [law(operator) for operator in first if operator.family == family]
        assert len(chosen) >= min(MIN_TIMED_PER_FAMILY, len(like))
        assert (min(chosen), max(chosen)) == (min(like), max(like))


def test_tables_are_written_and_read(tmp_path: Path) -> None:
    file = tmp_path / OPERATORS
    assert read_tables(file) == {}
    write_tables({"images_per_s": table()}, file)
    (again,) = read_tables(file).values()
    assert (again.times, again.batch_size) == (table().times, 16)
    for damage in ("", "[]", '{"images_per_s": 3}', file.read_text()[:-20]):
        file.write_text(damage)
        assert read_tables(file) == {}


def test_operators_are_timed_until_the_time_is_used_up(tmp_path: Path) -> None:
    measurer = Measurer(MeasuringSettings(), "cpu", DeviceLock("cpu", tmp_path))
    timed = operators_to_time(SPACE)[:20]
    seconds = measurer.time_operators(timed, 4, 600)
    assert len(seconds) == 20
    assert all(time_s > 0 for time_s in seconds)
    assert len(measurer.time_operators(timed, 4, 1e-9)) == LAYERS_PER_GROUP


def config(**changes: Any) -> StudyConfig:
    return StudyConfig.model_validate(
        {"space": {"stages": [{"mixer": "pool"}]}, "objectives": ["accuracy", "images_per_s"], **changes}
    )


def test_the_sampler_gets_predictions_and_drops_architectures_that_violate_a_limit_by_far() -> None:
    complete = table()
    rng = random.Random(2)
    sample = [SPACE.sample(rng) for _ in range(20)]
    limit = float(np.median([complete.predict(get("images_per_s"), architecture) for architecture in sample]))
    sampler = create_sampler(
        config(limits={"images_per_s": limit}), SPACE, tables={"images_per_s": complete, "latency_ms": complete}
    )
    assert isinstance(sampler, ParetoSampler)
    assert sampler.duration is not None
    predictions = sampler.features[-2:]
    for architecture in sample:
        assert sampler.duration(architecture) == complete.seconds(architecture)
        for name, predict in zip(("images_per_s", "latency_ms"), predictions, strict=True):
            assert predict(architecture) == complete.predict(get(name), architecture)
        assert sampler.feasible(architecture) == (1.5 * complete.predict(get("images_per_s"), architecture) >= limit)  # type: ignore[attr-defined]
    assert {sampler.feasible(architecture) for architecture in sample} == {True, False}  # type: ignore[attr-defined]


def test_without_a_table_durations_are_estimated_by_costs() -> None:
    sampler = create_sampler(config(), SPACE)
    assert isinstance(sampler, ParetoSampler)
    assert sampler.duration is not None
    rng = random.Random(2)
    sample = [SPACE.sample(rng) for _ in range(200)]
    costs = [cost(architecture) for architecture in sample]
    macs, stored = (np.array([getattr(each, name) for each in costs], float) for name in ("macs", "activation_bytes"))
    square = np.array([sampler.duration(architecture) for architecture in sample]) ** 2
    # The square, (macs + usual macs) * (stored + usual stored), less macs * stored, is linear in both.
    terms = np.stack([macs / macs.max(), stored / stored.max(), np.ones(len(sample))], axis=1)
    coefficients, residuals, *_ = np.linalg.lstsq(terms, square - macs * stored)
    assert residuals < 1e-12 * (square**2).sum()
    usual_stored, usual_macs = coefficients[0] / macs.max(), coefficients[1] / stored.max()
    assert usual_stored * usual_macs == pytest.approx(coefficients[2], rel=1e-6)
    assert np.quantile(macs, 0.25) < usual_macs < np.quantile(macs, 0.75)
    assert np.quantile(stored, 0.25) < usual_stored < np.quantile(stored, 0.75)


def test_a_table_is_plain_json(tmp_path: Path) -> None:
    write_tables({"latency_ms": table()}, tmp_path / "t.json")
    found = json.loads((tmp_path / "t.json").read_text())
    assert set(found["latency_ms"]) == {"batch_size", "operators"}
