"""Logging: every module logs to the logger of its name, below `nas`, `trainers` or `search_space`. It is quiet by default.

`nas --verbose` shows INFO and `MIXFRONT_LOG=debug` shows DEBUG (or any other level of `logging`), in the driver and in its
workers. A program that uses mixfront as a library configures `logging` itself.
"""

from __future__ import annotations

import logging
import os
import sys

VARIABLE = "MIXFRONT_LOG"
PACKAGES = ("nas", "search_space", "trainers")
FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


def configure(verbose: bool = False) -> None:
    """Show log messages on standard error, if `verbose` or `MIXFRONT_LOG` is set. Workers that start later do the same.

    Raises:
        ValueError: `MIXFRONT_LOG` is not a level.
    """
    text = os.environ.get(VARIABLE, "info" if verbose else "").strip()
    if not text:
        return
    os.environ[VARIABLE] = text  # workers inherit it
    level = logging.getLevelNamesMapping().get(text.upper())
    if level is None:
        levels = ", ".join(name.lower() for name in ("DEBUG", "INFO", "WARNING", "ERROR"))
        raise ValueError(f"{VARIABLE}: must be one of {levels}, found {text!r}")
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name(VARIABLE)
    handler.setFormatter(logging.Formatter(FORMAT))
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        for earlier in [other for other in logger.handlers if other.name == VARIABLE]:
            logger.removeHandler(earlier)  # both `nas` and its command call this: a line is shown once
        logger.addHandler(handler)


def configure_worker() -> None:
    """Configure logging in a worker; Python's warnings are logged, since the output of a worker is not shown."""
    logging.captureWarnings(True)
    warnings_logger = logging.getLogger("py.warnings")
    warnings_logger.propagate = False
    if not warnings_logger.handlers:
        warnings_logger.addHandler(logging.NullHandler())
    configure()
    if os.environ.get(VARIABLE):
        for handler in logging.getLogger("nas").handlers:
            warnings_logger.addHandler(handler)
