"""Environment variables that are set for processes that train."""

from __future__ import annotations

import getpass
import os
import pwd
from pathlib import Path

import pytest

from nas.execution.environment import name_user


def test_a_user_without_an_entry_in_the_password_database_gets_a_name_and_a_home_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_entry(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    for variable in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LOGNAME", "")  # restored afterwards, as is HOME
    monkeypatch.setenv("HOME", "")
    del os.environ["HOME"], os.environ["LOGNAME"]
    with pytest.raises(RuntimeError):
        Path.home()
    name_user()
    assert Path.home() == Path("/")
    assert getpass.getuser() == f"uid{os.getuid()}"


def test_a_user_with_a_name_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("LOGNAME", "ada")
    name_user()
    assert (os.environ["HOME"], os.environ["LOGNAME"]) == ("/nowhere", "ada")
