"""Two real drivers on one study in PostgreSQL: one is killed, the server restarts, and the other one finishes the study."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from nas.analysis.results import Results
from nas.study.database.storage import read_study
from nas.study.weights_header import WeightsHeader
from nas.terminal.tables import status_record

SCRIPT = """\
# `nas` with short leases.
import functools, sys
from nas.cli.main import main
from nas.study.database import leases, trial_database

if __name__ == "__main__":
    trial_database.SharedLeases = functools.partial(leases.SharedLeases, lease_s=9.0, interval_s=1.5)
    main()
"""
TRIALS = 16


def start(cli: Any, name: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Start a driver with the folder `name`, as the leader of a process group; its output goes to a file."""
    (cli.home / "nas_script.py").write_text(SCRIPT)
    command = [sys.executable, "nas_script.py", "search", "small.yaml", "--verbose", f"trials={TRIALS}", *words]
    command += ["--out", name, "resources.executor=local", "resources.workers=1"]
    with (cli.home / f"{name}.log").open("w") as log:
        return subprocess.Popen(
            command, cwd=cli.home, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
        )


def test_a_killed_driver_and_a_server_that_restarts_lose_nothing(
    cli: Any, postgresql: Any, database: str, monkeypatch: Any
) -> None:
    with_password = database.replace("@", ":s3cret%7Bword%7D@")
    assert postgresql.password == "s3cret{word}"
    monkeypatch.delenv("PGPASSWORD")
    first = start(cli, "first", "--storage", with_password)
    second = start(cli, "second", f"storage={database}", PGPASSWORD=postgresql.password)
    monkeypatch.setenv("PGPASSWORD", postgresql.password)

    def trials(state: TrialState = TrialState.COMPLETE) -> list[Any]:
        if not (cli.home / "first" / "storage.json").exists():
            return []
        return [trial for trial in read_study(cli.home / "first").get_trials() if trial.state == state]

    cli.wait_until(lambda: len({trial.user_attrs["driver"] for trial in trials()}) == 2, second)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    record = status_record(Results.load(cli.home / "first"))
    assert [driver["is_alive"] for driver in record["drivers"]] == [True, True]  # nobody knows yet
    killed = {trial.number: trial.values for trial in trials()}
    assert len(killed) < TRIALS
    postgresql.stop()
    assert second.poll() is None
    postgresql.start()

    assert second.wait(timeout=cli.patience_s) == 0, (cli.home / "second.log").read_text()
    complete = trials()
    assert len(complete) == len({trial.user_attrs["id"] for trial in complete}) == TRIALS
    assert not trials(TrialState.RUNNING)
    assert killed.items() <= {trial.number: trial.values for trial in complete}.items()
    # A trial whose driver was killed between its weights and its record was trained again, with the same weights.
    weights = [(int(path.parent.name), path) for path in cli.home.glob("*/trials/*/model.safetensors")]
    assert {number for number, _ in weights} == {trial.number for trial in complete}
    by_number = {trial.number: trial for trial in complete}
    assert all(WeightsHeader.read(path).difference(by_number[number], ()) is None for number, path in weights)
    assert cli.read("front", "first", "--json").stdout == cli.read("front", "second", "--json").stdout
    again = cli.read("search", "first")
    assert (again.returncode, again.stderr) == (0, "")
    assert f"already has its {TRIALS} trials" in again.stdout
    for name in ("first", "second"):  # it has removed what the killed driver had left
        left = {path.name for path in (cli.home / name).iterdir()}
        assert left.isdisjoint({"ray", "workers"})
        assert {path.name for path in (cli.home / name / "trials").glob("*/*")} == {"model.safetensors"}
    check_password(cli.home, postgresql, database)


def check_password(home: Path, postgresql: Any, database: str) -> None:
    """The password is in no file, in no output, and not in the database."""
    words = ("s3cret", "s3cret%7Bword%7D")
    for path in home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(word.encode() in content for word in words), path
    dump = postgresql.dump(database)
    assert "driver" in dump
    assert not any(word in dump for word in words)
