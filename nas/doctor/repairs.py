"""The repairs that several checks share."""

from __future__ import annotations

import shutil
from pathlib import Path

from nas.doctor.defect import Repair


def delete(place: Path) -> Repair:
    """Delete `place`, a temporary file or folder; of a link only the link."""

    def apply(_: object) -> None:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    return Repair("deletes it", apply)


def move_away(place: Path) -> Repair:
    """Move `place` to the folder of what was removed."""
    return Repair("moves it to removed-DATE", lambda removed: removed.take(place))
