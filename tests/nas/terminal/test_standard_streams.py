"""Output in any encoding, on closed streams, and in a pipe."""

# ruff: noqa: RUF001 - the multiplication sign is meant

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nas.cli import main
from nas.terminal.console import PIPE_WIDTH, create_console
from nas.terminal.standard_streams import ERRORS, LastResort, repair_streams, replace_characters


def run(*words: object, redirection: str = "", encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    """`nas` with words in another process, by a shell that redirects its streams."""
    command = ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-m", "nas.cli", *map(str, words)]
    env = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    return subprocess.run(command, env=env, capture_output=True, encoding=encoding, timeout=300)


@pytest.mark.parametrize(("encoding", "words"), [("ascii", ("show", 4)), ("cp1252", ("status",))])
def test_every_command_prints_in_any_encoding(digits_study: Path, encoding: str, words: tuple[object, ...]) -> None:
    ended = run(words[0], digits_study, *words[1:], encoding=encoding)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "digits" in ended.stdout


def test_characters_keep_their_width() -> None:
    text = "│ 4 × 4 → ▁▂▃▄▅▆▇█ µ … 日本 é \udcff"
    repair_streams()
    replaced = text.encode("ascii", errors=ERRORS).decode()
    assert replaced == "| 4 x 4 > _.,-=+*# u . ?? ? ?"
    assert len(replaced) == len(text)
    with pytest.raises(UnicodeDecodeError):
        replace_characters(UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"))


@pytest.mark.parametrize("redirection", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(digits_study: Path, redirection: str) -> None:
    assert run("front", digits_study, redirection=redirection).returncode == 0


def test_lines_in_a_pipe_are_not_cut(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert create_console().width == create_console(stderr=True).width == PIPE_WIDTH
    monkeypatch.setenv("COLUMNS", "40")
    assert create_console().width == 40


def test_a_warning_that_is_logged_is_shown_as_one_of_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging, "lastResort", None)
    monkeypatch.setattr(sys, "argv", ["nas", "--version"])
    with pytest.raises(SystemExit):
        main.run()
    shown = logging.lastResort
    assert isinstance(shown, LastResort)
    capsys.readouterr()
    for name, level in (("nas.part", "WARNING"), ("trainers", "ERROR"), ("nas.part", "INFO"), ("others", "WARNING")):
        record = logging.makeLogRecord(
            {"name": name, "levelname": level, "levelno": getattr(logging, level), "msg": "line\n%d", "args": (2,)}
        )
        if record.levelno >= shown.level:  # as `Logger.callHandlers` does
            shown.handle(record)
    assert capsys.readouterr() == ("", "nas: warning: line\\n2\nnas: error: line\\n2\nline\n2\n")
