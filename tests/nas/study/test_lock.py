"""One search at a time in a folder, which must stay where it is meanwhile."""

from __future__ import annotations

import os
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


def test_a_link_in_the_place_of_the_lock_is_refused_and_its_target_stays(tmp_path: Path) -> None:
    study, target = tmp_path / "study", tmp_path / "precious.txt"
    study.mkdir()
    target.write_text("precious")
    (study / "lock").symlink_to(target)
    message = r"study/lock: must be a regular file, found a link; .*nas doctor .* --repair"
    with pytest.raises(UsageError, match=message), lock_folder(study):
        pass
    assert target.read_text() == "precious"
    assert not is_locked(study)


def test_a_pipe_in_the_place_of_the_lock_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(UsageError, match="found a pipe"), lock_folder(tmp_path):
        pass
    assert not is_locked(tmp_path)


def test_a_link_that_leads_nowhere_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("nowhere")
    with pytest.raises(UsageError, match="found a link"), lock_folder(tmp_path):
        pass
    assert (tmp_path / "lock").is_symlink()
    assert not (tmp_path / "nowhere").exists()
