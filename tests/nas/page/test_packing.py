"""The JSON of pages."""

from __future__ import annotations

import json

from nas.page.packing import json_bytes


def test_numbers_that_are_not_finite_are_null() -> None:
    data = {"a": [1.5, float("nan"), (float("inf"), "NaN")], "b": {"c": -float("inf")}, "d": 1e300}
    assert json.loads(json_bytes(data)) == {"a": [1.5, None, [None, "NaN"]], "b": {"c": None}, "d": 1e300}


def test_half_code_points_are_escaped() -> None:
    assert json.loads(json_bytes(["\udcff é"]).decode()) == ["\udcff é"]
