"""Why a trial was not trained to an end: its failure with the traceback, the limit it exceeds, or the trial it repeats."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from nas.study.layout import ERROR, trial_folder
from nas.study.trials import AnyTrial, outcome_name
from trainers.input_files import open_input

MAX_TRACEBACK_BYTES: Final = 64 * 1024
"""Bytes of a traceback that are read, the last ones."""

_DUPLICATE: Final = re.compile(r"duplicate of trial (\d+)$")
_LIMIT: Final = re.compile(r"limit (\w+): (\S+) [<>] (\S+)$")


def ending(trial: AnyTrial, folder: Path | None) -> dict[str, Any]:
    """The reason why `trial` was not trained to an end; empty for other trials.

    Args:
        trial: the trial.
        folder: of its study; None: it has none, and so no tracebacks.

    Returns:
        `reason` (text) and, of a failed trial, `traceback` (text, its end); of a refused trial, `limit`: {`objective`,
        `value`, `limit`}, both as text; of a duplicate, `duplicate_of`: the number of the first trial.
    """
    attributes = trial.user_attrs
    match outcome_name(trial):
        case "failed":
            text = read_traceback(trial_folder(folder, trial.number) / ERROR) if folder is not None else ""
            return {"reason": str(attributes.get("failure") or "no reason recorded"), "traceback": text}
        case "refused" | "duplicate":
            reason = str(attributes.get("refused") or "no reason recorded")
            first, limit = _DUPLICATE.search(reason), _LIMIT.search(reason)
            return {
                "reason": reason,
                "limit": {"objective": limit[1], "value": limit[2], "limit": limit[3]} if limit else None,
                "duplicate_of": int(first[1]) if first else None,
            }
        case _:
            return {}


def read_traceback(file: Path) -> str:
    """The end of the text in `file`, whole lines of at most `MAX_TRACEBACK_BYTES`; empty without the file."""
    try:
        with open_input(file) as stream:
            left_out = max(0, stream.seek(0, os.SEEK_END) - MAX_TRACEBACK_BYTES)
            stream.seek(left_out)
            text = stream.read(MAX_TRACEBACK_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
    return (
        f"... (the first {left_out:,} bytes are left out)\n{text.partition(chr(10))[2] or text}" if left_out else text
    )
