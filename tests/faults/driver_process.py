"""A driver of a study under test: the command `nas search`, as the leader of a process group of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass
class DriverProcess:
    """A driver that was started.

    Args:
        process: its process.
        errors: the file with what it has written on standard error.
    """

    process: subprocess.Popen[bytes]
    errors: Path

    @classmethod
    def start(cls, command: Sequence[str], folder: Path, environment: Mapping[str, str], name: str) -> DriverProcess:
        """Run `command` in `folder`, where its output goes to `NAME.out` and `NAME.err`."""
        errors = folder / f"{name}.err"
        with (folder / f"{name}.out").open("wb") as out, errors.open("wb") as error_stream:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=out, stderr=error_stream, start_new_session=True
            )
        return cls(process, errors)

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it lives."""
        return self.process.poll()

    def last_lines(self, count: int = 3) -> list[str]:
        """The last lines that it has written on standard error."""
        lines = self.errors.read_text(errors="replace").splitlines()
        return [line[:300] for line in lines[-count:]]
