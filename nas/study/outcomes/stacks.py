"""The stacks that a worker leaves in the folder of its trial when it hangs or crashes (`trainers.watchdog`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nas.study.layout import STACKS
from trainers.input_files import open_input

MAX_STACK_BYTES = 65536
HANG = "Timeout ("
"""How the stacks of a worker that made no progress begin; those of a crash begin with "Fatal Python error"."""

_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.+)$')
_ROOT_OF_TRIAL = "in _attempt"
"""Ends the line of the frame, in the thread that runs the trial, that has called all of the trial's code: it is a method of
`nas.evaluation.evaluator.Evaluator`, whether the trial is trained or only measured."""


@dataclass(frozen=True)
class Stacks:
    """The stacks of a worker.

    Args:
        text: of all threads, the newest frame first.
        is_hang: True if the worker made no progress, False if it crashed.
    """

    text: str
    is_hang: bool

    @property
    def place(self) -> str | None:
        """The innermost frame of the thread that ran the trial: "models/network.py, line 3 in forward"; None without one."""
        threads = re.split(r"\n\n|(?=^Thread 0x|^Current thread 0x)", self.text, flags=re.MULTILINE)
        of_trial = next((thread for thread in threads if _ROOT_OF_TRIAL in thread), None)
        frames = [match for line in (of_trial or "").splitlines() if (match := _FRAME.match(line))]
        if not frames:
            return None
        file, line, function = frames[0].groups()
        return f"{'/'.join(Path(file).parts[-2:])}, line {line} in {function}"


def take_stacks(folder: Path) -> Stacks | None:
    """Read and remove the stacks in the `folder` of a trial; None if there are none."""
    file = folder / STACKS
    try:
        with open_input(file) as stream:
            text = stream.read(MAX_STACK_BYTES).decode(errors="replace")
        file.unlink()
    except OSError:
        return None
    return Stacks(text, text.startswith(HANG)) if text.strip() else None
