"""A data set in the terminal: lines wrapped beside their labels, classes and numbers whole at any width, names as they stand."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from nas.terminal.dataset import LabelledLines, dataset_lines, dataset_panel


def printed(lines: RenderableType, width: int) -> list[str]:
    """What a console of `width` columns shows."""
    stream = io.StringIO()
    Console(file=stream, width=width, markup=False, highlight=False).print(lines)
    return stream.getvalue().splitlines()


def test_long_texts_are_wrapped_beside_their_labels() -> None:
    lines = LabelledLines([("images", "one two three four five six seven"), ("a", "x")])
    assert printed(lines, 28) == ["images  one two three four", "        five six seven", "a       x"]
    assert printed(lines, 1000) == ["images  one two three four five six seven", "a       x"]


def test_a_word_that_is_too_long_is_folded() -> None:
    assert printed(LabelledLines([("a", 30 * "x")]), 23) == ["a  " + 20 * "x", "   " + 10 * "x"]


def test_the_name_of_a_data_set_is_no_markup() -> None:
    dataset = {"name": "a [red]\n:smile:", "image_size": [8, 8], "in_chans": 1, "train": 3, "val": 1, "test": 1}
    assert printed(dataset_lines(dataset), 80)[0] == r"data     a [red]\n:smile:"


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_classes_and_their_numbers_are_whole_at_any_width(width: int) -> None:
    dataset = {
        "name": "photos",
        "image_size": [8, 8],
        "in_chans": 1,
        "class_names": ["cat", "dog"],
        "class_counts": {"train": [123_456, 234_567], "val": [31, 41], "test": [51, 61]},
        "train": 358_023,
        "val": 72,
        "test": 112,
    }
    lines = printed(dataset_panel(dataset), width)
    assert max(map(cell_len, lines)) <= width
    words = " ".join(lines).split()
    for word in ("cat", "dog", "123,456", "234,567", "31", "61", "34.5", "65.5"):
        assert word in words
    assert "…" not in " ".join(lines)
