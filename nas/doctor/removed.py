"""Where repairs put what they take away: `DIR/removed-DATE/`, with the names that the files had below `DIR`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from trainers.input_files import open_regular


class RemovedFiles:
    """The folder of what repairs take away, which is created when it is needed.

    Args:
        study: the folder of the study.
        today: the date in the name of the folder; None: that of now.
    """

    def __init__(self, study: Path, today: date | None = None) -> None:
        self.study = study
        self.folder = study / f"removed-{today or date.today():%Y-%m-%d}"

    def take(self, place: Path) -> None:
        """Move `place`, a file, link or folder below that of the study, here; nothing if it is gone."""
        if place.is_symlink() or place.exists():
            target = self._free(self.folder / place.relative_to(self.study))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(place, target)

    def keep_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append `rows` of the database, which are about to be removed, to the file `name` of JSON lines."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = open_regular(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(dict(row), default=str) + "\n" for row in rows)

    def _free(self, target: Path) -> Path:
        """`target`, or the first of `target.1`, `target.2`, ... that does not exist."""
        numbered = target
        number = 0
        while numbered.is_symlink() or numbered.exists():
            number += 1
            numbered = target.with_name(f"{target.name}.{number}")
        return numbered
