"""Log messages: none unless they are asked for, then each one once, on standard error."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nas import logs
from nas.cli.main import main

FROZEN_STUDY = Path(__file__).parents[1] / "fixtures" / "v0_1" / "study"


@pytest.fixture(autouse=True)
def restored_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Levels, handlers and the environment as they were before the test, which begins without the variable."""
    monkeypatch.setenv(logs.VARIABLE, "")  # so that what `configure` sets is undone
    monkeypatch.delenv(logs.VARIABLE)
    loggers = [logging.getLogger(name) for name in logs.PACKAGES]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture
def nas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command in this process; its exit code, standard output and standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nas", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


def emit() -> None:
    """A message of each level and of each package."""
    for package in logs.PACKAGES:
        for level in (logging.DEBUG, logging.INFO, logging.ERROR):
            logging.getLogger(f"{package}.part").log(level, "message of %s", package)


@pytest.mark.parametrize(
    ("variable", "verbose", "levels"),
    [
        (None, False, set()),
        ("", False, set()),
        (None, True, {"INFO", "ERROR"}),
        ("debug", False, {"DEBUG", "INFO", "ERROR"}),
        ("DEBUG", True, {"DEBUG", "INFO", "ERROR"}),
        ("error", True, {"ERROR"}),  # the variable is more precise than the flag
    ],
)
def test_messages_of_the_level_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str | None,
    verbose: bool,
    levels: set[str],
) -> None:
    if variable is not None:
        monkeypatch.setenv(logs.VARIABLE, variable)
    logs.configure(verbose)
    if levels:
        emit()
    out, err = capsys.readouterr()
    assert out == ""
    shown = [line.split()[3:] for line in err.splitlines()]
    expected = [
        [level, f"{package}.part:", "message", "of", package]
        for package in logs.PACKAGES
        for level in ("DEBUG", "INFO", "ERROR")
        if level in levels
    ]
    assert shown == expected


def test_nothing_is_set_up_unless_it_is_asked_for() -> None:
    loggers = [logging.getLogger(name) for name in logs.PACKAGES]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    logs.configure()
    assert [(logger.level, list(logger.handlers)) for logger in loggers] == before
    assert logs.VARIABLE not in os.environ


def test_configured_twice_shows_a_message_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(verbose=True)
    logs.configure(verbose=True)
    logging.getLogger("nas.part").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_workers_inherit_the_flag() -> None:
    logs.configure(verbose=True)
    assert os.environ[logs.VARIABLE] == "info"


@pytest.mark.parametrize("words", [["status", "s"], ["--verbose", "status", "s"], ["init", "study.yaml"]])
def test_wrong_level_is_one_line_and_exit_code_2(
    nas: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(logs.VARIABLE, "loud")
    rule = "MIXFRONT_LOG: must be one of debug, info, warning, error, found 'loud'"
    assert nas(*words) == (2, "", f"nas: error: {rule}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def study(tmp_path: Path) -> str:
    """A study whose report measures test accuracies, which it logs."""
    shutil.copytree(FROZEN_STUDY, tmp_path / "study")
    return str(tmp_path / "study")


def test_a_command_is_quiet(nas: Callable[..., tuple[int, str, str]], study: str) -> None:
    code, out, errors = nas("report", study)
    size = (Path(study) / "report.html").stat().st_size / 1e6
    assert (code, out, errors) == (0, f"report: {study}/report.html ({size:.1f} MB)\n", "")


@pytest.mark.parametrize("flag", ["before", "after", "variable"])
def test_a_command_shows_each_message_once(
    nas: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, study: str, flag: str
) -> None:
    if flag == "variable":
        monkeypatch.setenv(logs.VARIABLE, "debug")
    words = {"before": ["--verbose", "report", study], "after": ["report", study, "--verbose"]}.get(flag)
    code, out, err = nas(*(words or ["report", study]))
    assert code == 0
    assert out.startswith(f"report: {study}/report.html (")
    messages = [
        line.partition("nas.models.front_test_accuracy: ")[2] for line in err.splitlines() if "test accuracy" in line
    ]
    assert len(messages) == len(set(messages)) == 2  # trials 0 and 7 are the front
    assert " INFO nas.models.front_test_accuracy: trial 7: test accuracy 0." in err


WORKER = """
import logging, warnings
from nas import logs
logs.configure_worker()
warnings.warn("odd", RuntimeWarning)
logging.getLogger("nas.evaluation").info("trial 3 failed")
"""


@pytest.mark.parametrize("level", ["", "info"])
def test_worker_logs_its_warnings(level: str) -> None:
    env = os.environ | {logs.VARIABLE: level}
    done = subprocess.run([sys.executable, "-c", WORKER], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    shown = [done.stderr.count(text) for text in ("RuntimeWarning: odd", "nas.evaluation: trial 3 failed")]
    assert shown == ([1, 1] if level else [0, 0])
    assert bool(done.stderr) == bool(level)
