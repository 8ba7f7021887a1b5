"""What the page is told of the front that a model expects."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.analysis.expected_front import expected_front
from nas.analysis.results import Results
from nas.page.arrays import decode
from nas.page.expected import plain_expected
from nas.study.layout import CONFIG


def test_it_is_the_expected_front(noisy_study: Path) -> None:
    results = Results.load(noisy_study)
    expected, plain = expected_front(results), plain_expected(results)
    assert plain is not None
    assert (plain["objective"], plain["trials"]) == ("accuracy", 40)
    assert decode(plain["front"]).tolist() == expected.front
    values = zip(*(decode(plain[name]).tolist() for name in ("value", "low", "high")), strict=True)
    assert dict(zip(decode(plain["trial"]).tolist(), values, strict=True)) == {
        trial: (value.median, value.low, value.high) for trial, value in expected.values.items()
    }


def test_there_is_none_of_few_results_or_without_a_configuration(
    tmp_path: Path, write_noisy_study: Callable[..., Path]
) -> None:
    young = write_noisy_study(tmp_path / "young", 3)
    assert plain_expected(Results.load(young)) is None
    (young / CONFIG).unlink()
    assert plain_expected(Results.load(young)) is None


def test_a_damaged_configuration_hides_it_alone(
    tmp_path: Path, write_noisy_study: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_noisy_study(tmp_path / "damaged", 3)
    (folder / CONFIG).write_text("space: [")
    with caplog.at_level(logging.WARNING):
        assert plain_expected(Results.load(folder)) is None
    assert "no expected front" in caplog.text
