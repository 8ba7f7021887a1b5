"""Durations: their forms, and what is none."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from nas.study.config import StudyConfig
from nas.study.config_file.durations import duration_word, parse_duration
from nas.study.continuation import check_continues
from search_space import presets


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("90", 90), (90, 90), (0.5, 0.5), ("90s", 90), ("30m", 1800), ("30 min", 1800), ("2h", 7200), ("1h30m", 5400),
        ("1.5h", 5400), ("1h 30m", 5400), ("1d", 86_400), ("2 days", 172_800), ("1D2H3M4S", 93_784), (timedelta(hours=1), 3600),
    ],
)  # fmt: skip
def test_forms(given: object, seconds: float) -> None:
    assert parse_duration(given) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "0",
        "0s",
        "-1",
        -1,
        "x",
        "2x",
        "30m2h",
        "12:30",
        "PT2H",
        "1e3",
        "inf",
        float("inf"),
        float("nan"),
        True,
        None,
        [],
    ],
)
def test_other_values_are_refused(given: object) -> None:
    with pytest.raises(
        ValueError, match="must be a duration such as 90s, 30m, 2h, 1h30m or 1d, above 0 and at most 3650d, found"
    ):
        parse_duration(given)


@given(seconds=st.integers(1, 10**7))
def test_words_are_parsed_to_the_same(seconds: int) -> None:
    assert parse_duration(duration_word(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


def test_a_configuration_keeps_it_as_text_and_it_may_change() -> None:
    space = {"stages": [presets.get("poolformer_s12").to_dict()["stages"][0]["mixer"]["name"]]}
    plain = {"space": {"stages": [{"mixer": space["stages"][0], "width": 8}]}}
    config = StudyConfig.model_validate(plain | {"time_budget": "90m"})
    stored = config.model_dump(mode="json")
    assert stored["time_budget"] == "1h30m"
    assert StudyConfig.model_validate(stored).time_budget == timedelta(minutes=90)
    check_continues(StudyConfig.model_validate(plain), stored)
