"""The lines of a data set: wrapped beside their labels, without spaces at their ends, names as they stand."""

from __future__ import annotations

import io

from rich.console import Console

from nas.terminal.dataset import LabelledLines, dataset_lines


def printed(lines: LabelledLines, width: int) -> list[str]:
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
