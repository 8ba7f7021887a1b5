"""The results of jobs: a file of JSON lines, one result per line, with its key. The file is only appended to.

A truncated line (after a kill, or on a full disk) is dropped when the file is opened again, and its training is repeated.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from nas.errors import MachineError

FILE = "trainings.jsonl"


class Store:
    """The results in the folder `folder`; `results` maps a key to its record."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self.results: dict[str, dict[str, Any]] = {}
        if self._file.exists():
            self._read()

    def _read(self) -> None:
        complete_bytes = 0  # length of the complete lines
        content = self._file.read_bytes()
        for line in content.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            try:
                record = json.loads(line)
                self.results[record["key"]] = record
            except (ValueError, TypeError, KeyError):
                pass  # a damaged line before others: only its training is lost
            complete_bytes += len(line)
        if complete_bytes < len(content):
            os.truncate(self._file, complete_bytes)

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Append `record` under `key`; it is on the disk when this returns.

        Raises:
            MachineError: the disk is full or broken.
        """
        entry = {"key": key, **record}
        try:
            with self._file.open("ab") as file:
                file.write(json.dumps(entry).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise MachineError(f"{self._file}: {error.strerror or error}") from error
        self.results[key] = entry
