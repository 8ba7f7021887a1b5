from __future__ import annotations

from typing import Any

import pytest

from nas.study.config_file.sizes import parse_size, size_word


@pytest.mark.parametrize(
    ("given", "size_bytes", "word"),
    [
        ("8 GB", 8 * 10**9, "8GB"),
        ("8gib", 8 * 2**30, "8GiB"),
        ("1.5 GiB", 1536 * 2**20, "1536MiB"),
        ("512MB", 512 * 10**6, "512MB"),
        (1000, 1000, "1000"),
        ("2 T", 2 * 10**12, "2000GB"),
    ],
)
def test_sizes_as_users_write_them(given: Any, size_bytes: int, word: str) -> None:
    assert parse_size(given) == size_bytes
    assert size_word(size_bytes) == word
    assert parse_size(word) == size_bytes


@pytest.mark.parametrize(
    "given",
    [
        "",
        "GB",
        "0.5",
        "9 EB",
        "2000000 TB",
        "-1 GB",
        "8 GX",
        0,
        True,
        None,
        "1e9",
        "9" * 400,
        float("nan"),
        float("inf"),
        [],
    ],
)
def test_what_is_no_size_is_refused_with_the_rule(given: Any) -> None:
    with pytest.raises(ValueError, match="must be a size such as 8 GB or 512 MiB, at most 1,048,576 TiB"):
        parse_size(given)
