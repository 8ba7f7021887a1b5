"""Runs the command `nas` many times: a process that has imported what the commands need and forks for each line of its input.

A line is JSON: the words of the command, its folder, its environment, and the files of its output. The answer is JSON: the exit
code (negative: the signal that ended it), seconds of CPU time, and the largest resident memory in bytes.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import resource
import signal
import sys
from typing import Any

import typer.main

MAX_CPU_S = 10
MAX_WALL_S = 40
"""A command that waits for something, such as the other end of a pipe, is ended after this time."""
MAX_DATA_BYTES = 3 << 30


def warm() -> None:
    """Import what commands import when they run."""
    import nas.analysis.results
    import nas.bench.compare
    import nas.bench.figure
    import nas.bench.table
    import nas.cli.main
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

    typer.main.get_command = functools.cache(typer.main.get_command)  # the half of the time of a short command
    typer.main.get_command(app)


def become_command(request: dict[str, Any]) -> None:
    """Run the command in this process and end it."""
    from nas.cli.main import main

    signal.alarm(MAX_WALL_S)
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    for name, number in (("/dev/null", 0), (request["stdout"], 1), (request["stderr"], 2)):
        file = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in ((0, "r"), (1, "w"), (2, "w")))
    sys.argv = ["nas", *(os.fsdecode(word.encode("latin-1")) for word in request["words"])]
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    """Answer each line of the input."""
    warm()
    gc.freeze()  # a collection in a fork would copy every page
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            become_command(json.loads(line))
        _, status, usage = os.wait4(process, 0)
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "memory_bytes": usage.ru_maxrss * 1024,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
