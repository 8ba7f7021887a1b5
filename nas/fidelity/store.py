"""The results of jobs: a file of JSON lines, one result per line, with its key. The file is only appended to.

A truncated line (after a kill, or on a full disk) is dropped when the file is opened again, and its training is repeated; so is
that of a line of another shape. No link is followed, since what it leads to would be changed.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from nas.errors import MachineError, UsageError
from nas.fidelity.findings import SCORES
from trainers.input_files import IrregularFileError, open_regular
from trainers.json_text import parse_json

FILE = "trainings.jsonl"


class Store:
    """The results in the folder `folder`; `results` maps a key to its record.

    Raises:
        UsageError: there is a link, a pipe, a device or a folder in the place of the file.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self.results: dict[str, dict[str, Any]] = {}
        try:
            self._read()
        except FileNotFoundError:
            pass
        except IrregularFileError as error:
            raise UsageError(f"{self._file}: {error.strerror}") from None

    def _read(self) -> None:
        complete_bytes = 0  # length of the complete lines
        with os.fdopen(open_regular(self._file, os.O_RDWR), "r+b") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(complete_bytes)
                    break
                complete_bytes += len(line)
                record = _record(line)
                if record is not None:
                    self.results[record["key"]] = record

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Append `record` under `key`; it is on the disk when this returns.

        Raises:
            MachineError: the disk is full or broken.
        """
        entry = {"key": key, **record}
        try:
            descriptor = open_regular(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            with os.fdopen(descriptor, "ab") as file:
                file.write(json.dumps(entry).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise MachineError(f"{self._file}: {error.strerror or error}") from error
        self.results[key] = entry


def _record(line: bytes) -> dict[str, Any] | None:
    """The record in `line`; None for a line that no run has written."""
    try:
        record = parse_json(line)
        if not isinstance(record["key"], str):
            return None
        if "failure" in record:
            is_record = isinstance(record["failure"], str)
        elif "scores" in record:
            is_record = all(_are_numbers(record["scores"][name][1:]) for name in SCORES)
            is_record &= all(_are_numbers([score]) or isinstance(score, str) for score, _ in record["scores"].values())
        else:
            is_record = len(record["curve"]) == record.get("epochs", len(record["curve"])) > 0
            is_record &= all(len(row) == 2 and _are_numbers(row) for row in record["curve"])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        return None
    return record if is_record else None


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
