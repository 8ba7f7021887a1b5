"""Predictions that are corrected by measured values: laws on generated throughputs, and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nas.study.outcomes.predicted_values import (
    OPERATOR_PREDICTIONS,
    PREDICTED_VALUES,
    PredictedValue,
    known_values,
    predictions_of,
)
from nas.study.prediction_correction import MIN_OBSERVATIONS, Observation, PredictionCorrection


def networks(
    count: int, seed: int, noise: float, with_prediction: bool = True
) -> tuple[list[Observation], list[float]]:
    """Networks with two costs, whose throughput is 40 % of the predicted one, less for large maps, with noise."""
    rng = np.random.default_rng(seed)
    macs, elements = np.exp(rng.normal(12, 1.5, count)), np.exp(rng.normal(9, 1, count))
    predicted = 1e9 / (macs * np.exp(rng.normal(0, 0.3, count)))
    values = 0.4 * predicted * (elements / np.exp(9)) ** -0.2 * np.exp(rng.normal(0, noise, count))
    observations = [
        Observation((float(m), float(e)), float(p) if with_prediction else None)
        for m, e, p in zip(macs, elements, predicted, strict=True)
    ]
    return observations, values.tolist()


def test_a_factor_and_a_power_of_a_cost_are_found() -> None:
    observations, values = networks(60, seed=0, noise=0.0)
    correction = PredictionCorrection(observations[:50], values[:50])
    for observation, value in zip(observations[50:], values[50:], strict=True):
        predicted = correction.predict(observation)
        assert predicted.value == pytest.approx(value, rel=0.03)
        assert predicted.low < value < predicted.high
        assert observation.predicted is not None
        assert observation.predicted / value > 1.5  # uncorrected it is far off


def test_without_a_table_costs_predict_with_a_wider_interval() -> None:
    width = {}
    for with_prediction in (True, False):
        observations, values = networks(60, seed=1, noise=0.05, with_prediction=with_prediction)
        predicted = PredictionCorrection(observations[:50], values[:50]).predict(observations[55])
        assert predicted.low < values[55] < predicted.high
        width[with_prediction] = predicted.high / predicted.low
    assert width[True] < 1.6 < width[False]


@pytest.mark.parametrize("count", [MIN_OBSERVATIONS, 40])
def test_ninety_nine_per_cent_of_values_are_within_the_interval(count: int) -> None:
    inside = []
    for seed in range(60):
        observations, values = networks(count + 10, seed, noise=0.1)
        correction = PredictionCorrection(observations[:count], values[:count])
        for observation, value in zip(observations[count:], values[count:], strict=True):
            predicted = correction.predict(observation)
            inside.append(predicted.low <= value <= predicted.high)
    assert np.mean(inside) >= 0.975  # 600 draws of 0.99: 0.975 is 3.7 standard deviations below


def test_the_deviation_is_that_of_values_that_the_correction_has_not_seen() -> None:
    observations, values = networks(30, seed=2, noise=0.2)
    misses = []
    for left_out in range(30):
        rest = [i for i in range(30) if i != left_out]
        correction = PredictionCorrection([observations[i] for i in rest], [values[i] for i in rest])
        misses.append(math.log(values[left_out] / correction.predict(observations[left_out]).value))
    brute_force = float(np.sqrt(np.mean(np.square(misses))))
    assert PredictionCorrection(observations, values).deviation == pytest.approx(brute_force, rel=0.1)


def test_what_differs_from_all_that_was_measured_is_uncertain() -> None:
    rng = np.random.default_rng(3)
    observations = [Observation((float(macs), 100.0)) for macs in np.exp(rng.normal(12, 1, 40))]
    correction = PredictionCorrection(observations, [1e9 / observation.features[0] for observation in observations])
    alike = correction.predict(Observation((math.exp(12), 100.0)))
    larger = correction.predict(Observation((math.exp(12), 200.0)))
    assert alike.high / alike.low < 1.3
    assert larger.high / larger.low > 2


def test_exact_measurements_still_leave_an_interval() -> None:
    observations = [Observation((float(10 + i),), 5.0) for i in range(MIN_OBSERVATIONS)]
    correction = PredictionCorrection(observations, [10.0] * MIN_OBSERVATIONS)
    predicted = correction.predict(observations[0])
    assert predicted.value == pytest.approx(10.0)
    assert predicted.high > 1.02 * predicted.value > 1.02**2 * predicted.low


def test_too_few_measurements_and_impossible_numbers_are_refused() -> None:
    observations, values = networks(MIN_OBSERVATIONS - 1, seed=0, noise=0.1)
    with pytest.raises(ValueError, match=f"needs {MIN_OBSERVATIONS} observations or more, .* found 9 and 9"):
        PredictionCorrection(observations, values)
    with pytest.raises(ValueError, match="positive and finite"):
        Observation((0.0,))
    with pytest.raises(ValueError, match="within its interval"):
        PredictedValue(2.0, 3.0, 4.0)


@given(
    st.dictionaries(
        st.sampled_from(["images_per_s", "latency_ms"]),
        st.one_of(
            st.none(), st.text(max_size=2), st.lists(st.one_of(st.none(), st.floats(), st.booleans()), max_size=4)
        ),
    )
)
def test_any_stored_json_is_read_as_predictions_or_left_out(plain: dict[str, object]) -> None:
    for name, predicted in predictions_of({PREDICTED_VALUES: plain}).items():
        assert predicted.to_list() == plain[name]
        assert predicted.low <= predicted.value <= predicted.high


def test_a_measured_value_stands_before_a_predicted_one() -> None:
    attributes = {"macs": 5, PREDICTED_VALUES: {"images_per_s": [2.0, 1.0, 3.0]}, OPERATOR_PREDICTIONS: {}}
    assert known_values(attributes)["images_per_s"] == 2.0
    assert known_values({**attributes, "images_per_s": None})["images_per_s"] == 2.0
    assert known_values({**attributes, "images_per_s": 9.0})["images_per_s"] == 9.0
    assert known_values({"macs": 5, PREDICTED_VALUES: None}) == {"macs": 5, PREDICTED_VALUES: None}
