"""How far a run is: a small file in its folder that its worker writes after each epoch, and its driver reads. Needs no torch."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from nas.study.attribute_types import is_index
from trainers.files import read_input
from trainers.json_text import parse_json
from trainers.training.epoch import Epoch

FILE = "progress.json"
MAX_BYTES = 65_536

logger = logging.getLogger(__name__)


def write_progress(folder: Path, epoch: Epoch | None) -> None:
    """Write that the run in `folder` has finished `epoch`; None: it has ended. No failure is an error."""
    file = folder / FILE
    try:
        if epoch is None:
            file.unlink(missing_ok=True)
            return
        temporary = file.with_name(f".{FILE}.tmp")
        temporary.write_text(json.dumps(epoch.to_dict()), encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        logger.info("%s: %s", file, error)


def read_epochs(folder: Path) -> int:
    """The number of epochs that the run in `folder` has finished; 0 if that is not known."""
    try:
        content = parse_json(read_input(folder / FILE, MAX_BYTES))
    except (OSError, ValueError):
        return 0
    number = content.get("epoch") if isinstance(content, dict) else None
    return int(number) if number is not None and is_index(number) else 0
