"""Runs the command `nas` many times: a process that has imported what the commands need, and forks a runner of commands.

A line of its input is JSON: the words of the command, its folder, its environment, and the files of its output. The answer is
JSON: the exit code (negative: the signal that ended it) and seconds of CPU time. A runner that a command ends is replaced.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import resource
import signal
import socket
import sys
import tempfile
import warnings
from typing import Any, TextIO

import typer.main

MAX_CPU_S = 10
MAX_WALL_S = 40
"""A command that waits for something, such as the other end of a pipe, is ended after this time."""
MAX_DATA_BYTES = 3 << 30
MAX_COMMANDS = 100
"""Of one runner: a fork takes longer than most commands."""


def warm() -> None:
    """Import what commands import when they run."""
    import nas.analysis.results
    import nas.bench.compare
    import nas.bench.figure
    import nas.bench.table
    import nas.cli.main
    import nas.doctor.run
    import nas.driver.run
    import nas.fidelity.run
    import nas.logs
    import nas.models.export
    import nas.models.front_test_accuracy
    import nas.report.page
    import nas.study.data_argument
    import nas.terminal.console
    import nas.terminal.progress
    import nas.terminal.standard_streams
    import nas.terminal.tables  # noqa: F401
    from nas.cli.app import app

    typer.main.get_command = functools.cache(typer.main.get_command)  # half of the time of a short command
    typer.main.get_command(app)


def run_command(request: dict[str, Any]) -> int:
    """Run the command in this process; returns its exit code."""
    from nas.cli.main import main

    signal.alarm(MAX_WALL_S)
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)  # its signal ends the process
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    for name, number in (("/dev/null", 0), (request["stdout"], 1), (request["stderr"], 2)):
        file = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (stream(number, mode) for number, mode in ((0, "r"), (1, "w"), (2, "w")))
    sys.argv = ["nas", *(os.fsdecode(word.encode("latin-1")) for word in request["words"])]
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    if not sys.stderr.closed:
        sys.stderr.flush()
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    return code


def stream(number: int, mode: str) -> TextIO:
    """A stream of a descriptor, which stays open when the stream goes."""
    return open(number, mode, closefd=False)  # type: ignore[return-value]


def run_commands(requests: socket.socket) -> None:
    """Answer each line of `requests`, as the runner."""
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    warnings.filterwarnings("always", category=RuntimeWarning)
    with requests.makefile("rw") as lines:
        for line in lines:
            before = os.times()
            code = run_command(json.loads(line))
            spent = [after - earlier for after, earlier in zip(os.times(), before, strict=True)]
            lines.write(json.dumps({"code": code, "cpu_s": sum(spent[:4])}) + "\n")
            lines.flush()


class Runner:
    """A fork of this process that runs commands one after the other."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.commands = 0
        self._process = os.fork()
        if self._process == 0:
            ours.close()
            run_commands(theirs)
            os._exit(0)
        theirs.close()
        self._lines = ours.makefile("rw")
        self._socket = ours

    def run(self, line: str) -> str:
        """The answer to `line`; where the command ends the process, how it did."""
        self.commands += 1
        self._lines.write(line)
        self._lines.flush()
        answer = self._lines.readline()
        if answer:
            return answer
        self.commands = MAX_COMMANDS
        _, status = os.waitpid(self._process, 0)
        self._process = 0
        return json.dumps({"code": os.waitstatus_to_exitcode(status), "cpu_s": 0.0}) + "\n"

    def close(self) -> None:
        """End the process."""
        self._lines.close()
        self._socket.close()
        if self._process:
            os.waitpid(self._process, 0)


def serve() -> None:
    """Answer each line of the input."""
    warm()
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page
    runner = Runner()
    for line in sys.stdin:
        if runner.commands >= MAX_COMMANDS:
            runner.close()
            runner = Runner()
        print(runner.run(line), end="", flush=True)
    runner.close()


if __name__ == "__main__":
    serve()
