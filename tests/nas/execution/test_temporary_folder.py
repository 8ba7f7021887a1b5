"""The private temporary folder of Ray: short, private, removed; what killed searches left is removed, too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.errors import UsageError
from nas.execution.executors.ray_tune import temporary_folder as sessions
from nas.execution.executors.ray_tune.temporary_folder import MAX_PARENT_BYTES, PREFIX, session_folder

HOLD = """
import time
from nas.execution.executors.ray_tune.temporary_folder import session_folder
with session_folder() as folder:
    (folder / "socket").write_text("")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files with a short path, the only candidate."""
    for variable in sessions.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sessions, "SYSTEM_FOLDERS", ())
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setenv("TMP", folder)
        yield Path(folder)


def test_the_folder_is_private_and_removed_also_after_an_interrupt(parent: Path) -> None:
    def search() -> None:
        with session_folder() as folder:
            assert folder.parent == parent
            assert folder.stat().st_mode & 0o777 == 0o700
            (folder / "r" / "session").mkdir(parents=True)
            (folder / "r" / "session" / "log").write_text("")
            raise KeyboardInterrupt

    before = os.umask(0)
    try:
        with pytest.raises(KeyboardInterrupt):
            search()
    finally:
        os.umask(before)
    assert list(parent.iterdir()) == []


def test_the_longest_socket_has_a_path_that_the_system_takes() -> None:
    longest = "/" + "p" * (MAX_PARENT_BYTES - 1) + sessions.LONGEST_SOCKET_NAME
    assert len(longest) == 107  # sun_path has 108 bytes, the last of which is NUL


@pytest.mark.parametrize("value", ["x" * 80, "missing", "file", ""])
def test_another_folder_is_taken_where_the_first_cannot_be_used(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    (tmp_path / ("x" * 80)).mkdir()
    (parent / "file").write_text("")
    monkeypatch.setenv(
        "TMPDIR", {"missing": "/nowhere", "file": str(parent / "file"), "": ""}.get(value, f"{tmp_path}/{value}")
    )
    with session_folder() as folder:
        assert folder.parent == parent
    assert not Path("/nowhere").exists()
    assert list((tmp_path / ("x" * 80)).iterdir()) == []


def test_no_folder_is_an_error_that_names_those_tried(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMP", f"{tmp_path}/{'x' * 80}")
    with pytest.raises(UsageError, match=rf"at most {MAX_PARENT_BYTES} bytes .*, found .*xxx"), session_folder():
        pass


def test_folders_of_killed_searches_are_removed_and_those_of_living_ones_stay(parent: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, start_new_session=True)
        for _ in range(2)
    ]
    folders = []
    for process in processes:
        assert process.stdout is not None
        folders.append(Path(process.stdout.readline().strip()))
    killed, living = processes
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        (parent / f"{PREFIX}file").write_text("no folder")
        (parent / f"{PREFIX}link").symlink_to("/")
        with session_folder() as folder:
            names = {place.name for place in parent.iterdir()}
            assert names == {folder.name, folders[1].name, f"{PREFIX}file", f"{PREFIX}link"}
            living.send_signal(signal.SIGKILL)  # such as another driver of the study, after which nothing is left to do
            living.wait()
        assert {place.name for place in parent.iterdir()} == {f"{PREFIX}file", f"{PREFIX}link"}
    finally:
        living.send_signal(signal.SIGKILL)
        for process in processes:
            process.communicate()
