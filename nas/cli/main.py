"""The entry point of the command `nas`. Each command imports what it needs when it runs, so that `nas --help` is fast."""

from __future__ import annotations

import errno
import gc
import logging
import sys
from pathlib import Path
from typing import NoReturn

try:
    from nas.cli import (
        backup,
        bench,
        dashboard,
        data,
        diagnose,
        doctor,
        export,
        fidelity,
        front,
        init,
        report,
        retrain,
        search,
        show,
        status,
        validate,
    )
    from nas.cli.app import app
except KeyboardInterrupt:  # Ctrl-C in the first tenths of a second, before `main` can handle it
    raise SystemExit(130) from None

COMMANDS = (
    init,
    data,
    search,
    status,
    front,
    show,
    report,
    dashboard,
    export,
    retrain,
    validate,
    diagnose,
    backup,
    doctor,
    fidelity,
    bench,
)
"""The modules that register the commands."""
NAME_ERRNOS = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR})
"""Errors of a path that can name no file: wrong use."""
OBJECTS_PER_COLLECTION = 10_000
"""New objects after which garbage is collected; with Python's 700, imports of libraries take a fifth longer."""
MAX_MESSAGE_CHARS = 1_000
"""Of an error; a value found may be longer than any screen."""


def fail(message: str, code: int) -> NoReturn:
    """Print `message` to standard error and exit with `code`."""
    from nas.formatting import printable, shortened

    print(f"nas: error: {printable(shortened(message, MAX_MESSAGE_CHARS))}", file=sys.stderr)
    sys.exit(code)


def run() -> None:
    """Run the command; an error becomes one line and an exit code."""
    from nas.errors import StudyError
    from nas.terminal.standard_streams import LastResort, repair_streams
    from search_space.errors import SpaceError

    repair_streams()
    try:
        Path.cwd()
    except OSError as error:  # it was removed; torch cannot be loaded there
        fail(f"the current folder: {error.strerror}; change to one that exists", 2)
    logging.lastResort = LastResort()
    try:
        app()
    except StudyError as error:
        fail(str(error), error.exit_code)
    except SpaceError as error:
        fail(str(error), 2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written to
        code = 2 if error.errno in NAME_ERRNOS else 1
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), code)


def main() -> None:
    """Run `nas`. Exit codes: 0 done, 1 failed, 2 wrong use, 3 nothing feasible, 130 interrupted."""
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    try:
        run()
    except KeyboardInterrupt:
        sys.exit(130)
