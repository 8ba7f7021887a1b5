"""What has been trained: a file of JSON lines, one result each, named by its key. Nothing is ever written twice.

A line that was cut off, by a kill or a full disk, is dropped when the file is opened again, and its training is done anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = "trainings.jsonl"


class Store:
    """The results in the folder `folder`; `results` maps a key to its record."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self.results: dict[str, dict[str, Any]] = {}
        if self._file.exists():
            self._read()

    def _read(self) -> None:
        whole = 0  # bytes of the lines that are whole
        content = self._file.read_bytes()
        for line in content.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            try:
                record = json.loads(line)
                self.results[record["key"]] = record
            except (ValueError, TypeError, KeyError):
                pass  # of a torn write in the middle, which a later line stands behind: only that training is lost
            whole += len(line)
        if whole < len(content):
            os.truncate(self._file, whole)

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Keep `record` under `key`, on the disk when this returns."""
        whole = {"key": key, **record}
        with self._file.open("ab") as file:
            file.write(json.dumps(whole).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.results[key] = whole
