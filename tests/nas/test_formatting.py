"""Values as text in tables, figures and reports."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from nas.formatting import (
    MISSING,
    count,
    dimensions,
    duration,
    finite_or_none,
    number_text,
    percent,
    printable,
    ratio,
    shell_path,
    si,
    value_text,
)
from nas.objectives import get


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4000.0, "4000"),
        (1_234_567, "1234567"),
        (79_481.6, "79482"),
        (1e9, "1000000000"),
        (0.44351, "0.4435"),
        (1e-6, "1e-06"),
    ],
)
def test_numbers_of_limits_are_in_full(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.995, "100 %"),
        (0.5, "50 %"),
        (0.1, "10 %"),
        (0.0999, "10 %"),
        (0.067, "6.7 %"),
        (0.0031, "0.31 %"),
    ],
)
def test_percent_has_no_exponent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1_234_567, "MACs", "1.23 M MACs"),
        (45_600, "params", "45.6 k params"),
        (842, "MACs", "842 MACs"),
        (0, "", "0"),
        (999_499, "", "999 k"),
        (999_960, "", "1.00 M"),
        (51.1e9, "", "51.1 G"),
        (12.34, "images/s", "12.3 images/s"),
        (0.01234, "", "0.0123"),
        (-4_560_000, "", "-4.56 M"),
        (math.inf, "", "∞"),
        (math.nan, "MACs", MISSING),
        (None, "MACs", MISSING),
    ],
)
def test_si(value: float | None, unit: str, text: str) -> None:
    assert si(value, unit) == text


@given(st.floats(1e-3, 1e17))
def test_si_keeps_three_significant_digits(value: float) -> None:
    number, _, prefix = si(value).partition(" ")
    factor = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}[prefix]
    assert float(number) * factor == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.23, "4.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (65, "1 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7380, "2 h 03 min"),
        (86_399, "1 d 00 h"),
        (273_600, "3 d 04 h"),
        (None, MISSING),
        (math.nan, MISSING),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_value_is_formatted_by_its_objective() -> None:
    assert ratio(0.97222) == "0.9722"
    assert ratio(None) == MISSING
    assert value_text(get("accuracy"), 0.97222) == "0.9722"
    assert value_text(get("macs"), 1_234_567) == "1.23 M MACs"
    assert value_text(get("images_per_s"), 18_140, unit=False) == "18.1 k"
    assert value_text(get("images_per_s"), math.nan) == MISSING
    blocks = replace(get("accuracy"), name="blocks", unit="blocks")
    assert value_text(blocks, 2) == "2 blocks"


@pytest.mark.parametrize(("number", "text"), [(0, "0 trials"), (1, "1 trial"), (2, "2 trials"), (1200, "1,200 trials")])
def test_a_count_has_a_singular_and_a_plural(number: int, text: str) -> None:
    assert count(number, "trial") == text


def test_dimensions_and_finite_values() -> None:
    assert dimensions(16, "?", 3) == "16 × ? × 3"  # noqa: RUF001
    assert [finite_or_none(value) for value in (0.5, math.nan, -math.inf)] == [0.5, None, None]


@given(text=st.text(st.characters()))
def test_printable_text_is_one_line_that_a_terminal_and_a_file_can_hold(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    shown.encode()
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ["a b", "ünï 🙂", "[red]", "\u00a0", "\u3000", "a\\nb", "👩\u200d🔬"])
def test_what_can_be_printed_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_control_characters_are_escaped() -> None:
    assert printable("a\nb\x1b[31m\x9b\u202e\u2028\udce9") == r"a\nb\x1b[31m\x9b\u202e\u2028\udce9"


@given(path=st.text(st.characters(exclude_characters="\0"), min_size=1))
def test_a_path_is_one_word_of_the_shell(path: str) -> None:
    (word,) = shlex.split(shell_path(Path(path)))
    assert Path(word) == Path(path)
    assert not word.startswith("-")
