"""Storages that are none: told in one line, as wrong use."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UsageError
from nas.storage import open_study


def test_folder_without_a_study(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no study"):
        open_study(tmp_path)


@pytest.mark.parametrize("content", [b"no database at all, but text\n", b"SQLite format 3\0" + bytes(200)])
def test_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "study.db").write_bytes(content)
    with pytest.raises(UsageError, match=r"study\.db: is not a study that can be read: ") as caught:
        open_study(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "study.db").read_bytes() == content
