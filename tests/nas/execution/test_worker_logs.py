"""Log messages of workers reach the standard error of the driver if they are asked for, whatever executes the tasks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas import logs
from nas.execution.base import names

WORKER = """
import logging, pathlib, time

class Worker:
    def __init__(self, site):
        pass

    def run(self, payload):
        logging.getLogger("nas.evaluation").info("message of a worker")
        end = time.monotonic() + 120
        while not pathlib.Path(payload["seen"]).exists() and time.monotonic() < end:
            time.sleep(0.05)
        return {}
"""
DRIVER = """
import sys
from pathlib import Path
from logging_worker import Worker
from nas.execution.base import Task, open_executor
from nas.execution.queue import TaskQueue
from nas.execution.resources import Resources

name, seen = sys.argv[1:]
with open_executor(name, Resources(workers=1, gpus_per_trial=0), Path("scratch").resolve()) as executor:
    executor.run(Worker, TaskQueue([Task("task", {"seen": seen})], on_result=lambda task, result: None))
"""


@pytest.mark.parametrize("level", ["", "info"])
@pytest.mark.parametrize("executor", names())
def test_messages_of_workers(tmp_path: Path, executor: str, level: str) -> None:
    (tmp_path / "logging_worker.py").write_text(WORKER)
    seen = tmp_path / "seen"
    if not level:
        seen.touch()
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": path.rstrip(os.pathsep), logs.VARIABLE: level}
    command = [sys.executable, "-c", DRIVER, executor, str(seen)]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as driver:
        assert driver.stderr is not None
        shown = []
        for line in driver.stderr:
            shown.append(line)
            if "message of a worker" in line:
                seen.touch()
    assert driver.returncode == 0, shown
    if level:
        assert sum("INFO nas.evaluation: message of a worker" in line for line in shown) == 1
    else:
        assert shown == []
