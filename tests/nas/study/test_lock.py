"""One search at a time in a folder, which must stay where it is meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import MachineError, UsageError
from nas.study.lock import is_locked, lock_folder


def test_a_locked_folder_refuses_a_second_search_and_names_the_process(tmp_path: Path) -> None:
    with lock_folder(tmp_path / "study"):
        assert is_locked(tmp_path / "study")
        with pytest.raises(UsageError, match=r"in use by another process \(pid \d+\)"), lock_folder(tmp_path / "study"):
            pass
    assert not is_locked(tmp_path / "study")


@pytest.mark.parametrize("again", [False, True], ids=["moved", "moved, and made again"])
def test_a_folder_that_moves_is_noticed(tmp_path: Path, again: bool) -> None:
    with lock_folder(tmp_path / "study") as lock:
        lock.check()
        (tmp_path / "study").rename(tmp_path / "elsewhere")
        if again:
            (tmp_path / "study" / "trials").mkdir(parents=True)
        with pytest.raises(MachineError, match="study: must stay where it is while a search runs in it"):
            lock.check()
