"""How far a run is: a small file in its folder that its worker writes, and its driver reads. Needs no torch."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from nas.study.attribute_types import is_number
from trainers.input_files import read_input
from trainers.json_text import parse_json

PROGRESS = "progress.json"
MAX_BYTES = 65_536

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Args:
        epochs: that are finished, with the share of the running one whose steps are done.
        own_epochs: those that the process has trained that says so, from the end of its first step on.
        own_s: its seconds for these, validation included.
    """

    epochs: float = 0.0
    own_epochs: float = 0.0
    own_s: float = 0.0


def write_progress(folder: Path, progress: RunProgress | None) -> None:
    """Write how far the run in `folder` is; None: it has ended. No failure is an error."""
    file = folder / PROGRESS
    try:
        if progress is None:
            file.unlink(missing_ok=True)
            return
        temporary = file.with_name(f".{PROGRESS}.tmp")
        temporary.write_text(json.dumps(asdict(progress)), encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        logger.info("%s: %s", file, error)


def read_progress(folder: Path) -> RunProgress:
    """How far the run in `folder` is; zeros if that is not known."""
    try:
        content = parse_json(read_input(folder / PROGRESS, MAX_BYTES))
    except (OSError, ValueError):
        return RunProgress()
    names = RunProgress.__dataclass_fields__
    values = (
        [float(content[name]) for name in names if is_number(content.get(name))] if isinstance(content, dict) else []
    )
    if len(values) != len(names) or not all(0 <= value < math.inf for value in values):
        return RunProgress()
    return RunProgress(*values)
